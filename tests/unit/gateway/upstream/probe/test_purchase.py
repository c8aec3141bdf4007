"""One song bought on real sockets: what is asked for, what is overheard, and how it ends.

Invariant under test: exactly one call is sent whatever the provider does, and a connection that is left is closed.
It must not know what is made of the numbers.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema import Upstream
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol.dashscope import delta_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe import purchase as module
from gateway.upstream.probe.purchase import Purchase
from tests.support.provider import DELTA, EVENTS, FACTS, SECRET, STOP, THROTTLED, Provider, raw
from tests.support.relay import within
from tests.support.wire import stop_payload

SONG = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="a calm song for a test", format="mp3"))


def silent(line: str) -> None:
    pass


def buying(url: str, tell: Callable[[str], None] = silent, **settings: Any) -> Purchase:
    return Purchase(Upstream(base_url=url, **settings), ProviderKey(SECRET), SONG, tell=tell)


async def bought(url: str, tell: Callable[[str], None] = silent, **settings: Any) -> Purchase:
    purchase = buying(url, tell, **settings)
    await within(purchase.run())
    return purchase


def stop(url: str) -> bytes:
    return encode_event(2, "result", 200, stop_payload(url=url, **FACTS))


async def test_a_song_is_bought_and_its_file_fetched(provider: Provider) -> None:
    """One call with the gateway's own head and body; every step has its time, in order, and is told."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            assert "Authorization" not in request.headers
            return web.Response(body=b"hello")
        headers = EVENTS | {"X-DashScope-Timeout": "600", "Set-Cookie": "a=b", "Vary": "x"}
        return web.Response(body=DELTA + stop(f"{provider.url}/song.mp3?Signature=s"), headers=headers)

    provider.answer = answer
    lines: list[str] = []
    purchase = await bought(provider.url, lines.append, audio_hosts=["127.0.0.1:*"])
    posts = [(request, body) for request, body in provider.requests if request.method == "POST"]
    assert len(posts) == 1
    assert posts[0][0].headers["Authorization"] == f"Bearer {SECRET}"
    assert posts[0][0].headers["X-DashScope-SSE"] == "enable"
    assert b"a calm song for a test" in posts[0][1]
    assert (purchase.interrupted, purchase.failure, purchase.file_failure) == (False, None, None)
    assert purchase.file == b"hello"
    assert [piece.data for piece in purchase.log.slices] == [b"hello"]
    assert purchase.finished is not None
    assert purchase.finished.billed_seconds == 200
    assert purchase.request_id == "r1"
    marks = purchase.marks
    times = [marks.connected, marks.sent, marks.answered, purchase.log.first_event, marks.ended, marks.fetched]
    assert None not in times
    assert times == sorted(time for time in times if time is not None)
    assert purchase.answer is not None
    assert (purchase.answer.http, purchase.answer.status, purchase.answer.simulated) == ("HTTP/1.1", 200, False)
    assert purchase.answer.headers["x-dashscope-timeout"] == "600"
    assert "set-cookie" not in purchase.answer.headers
    assert {"set-cookie", "vary"} <= set(purchase.answer.others)
    assert purchase.alpn is None
    assert [line.partition(" after")[0] for line in lines] == [
        "the call is sent; a song may take minutes to begin",
        "answered with status 200",
        "first sound",
        "the song is whole; fetching the file behind its url",
    ]


async def test_headers_cannot_command_a_terminal() -> None:
    """What is not printable is replaced, and no value is longer than a few lines."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nServer: a\xc2\x9bJ%s\r\n\r\n" % (b"x" * 500)
    async with raw(head + DELTA + STOP) as url:
        purchase = await bought(url)
    assert purchase.answer is not None
    assert purchase.answer.headers["server"] == "a?J" + "x" * 197


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [
        (401, {}, b'{"code":"InvalidApiKey","message":"m","request_id":"r9"}', "upstream_refused"),
        (429, {}, THROTTLED, "upstream_busy"),
        (500, {}, b"", "upstream_failed"),
        (302, {"Location": "/elsewhere"}, b"", "upstream_refused"),
        (200, {"Content-Type": "text/html"}, b"<html>", "upstream_protocol"),
        (200, EVENTS, encode_event(1, "error", 429, THROTTLED), "upstream_busy"),
        (200, EVENTS, DELTA, "upstream_interrupted"),
        (200, EVENTS, STOP, "upstream_empty"),
    ],
)
async def test_a_failed_song_is_not_asked_for_again(
    provider: Provider, status: int, headers: dict[str, str], body: bytes, code: str
) -> None:
    """One call, our error, and what was overheard until then."""
    provider.says(body, status=status, headers={"X-Request-Id": "r9"} | headers)
    purchase = await bought(provider.url)
    assert len(provider.requests) == 1
    assert purchase.failure is not None
    assert purchase.failure.code == code
    assert (purchase.finished, purchase.interrupted, purchase.file) == (None, False, None)
    assert purchase.request_id is not None
    assert purchase.answer is not None
    assert purchase.answer.status == status
    assert purchase.log.beginning == body


async def test_a_provider_that_is_away_costs_nothing() -> None:
    """The call was never sent, and that can be seen."""
    async with raw() as gone:
        pass
    purchase = await bought(gone)
    assert purchase.failure is not None
    assert purchase.failure.code == "upstream_unavailable"
    assert (purchase.marks.connected, purchase.marks.sent, purchase.answer) == (None, None, None)
    assert purchase.request_id is None
    assert purchase.marks.ended is not None


async def test_no_song_goes_on_for_ever(provider: Provider) -> None:
    """What takes longer than `generation_timeout` is left."""
    provider.begins(DELTA)
    purchase = await bought(provider.url, generation_timeout=0.3)
    assert purchase.failure is not None
    assert purchase.failure.message == "The song took more than 0.3 seconds."
    assert len(purchase.log.slices) == 1


async def test_leaving_closes_the_connection_and_keeps_what_came(provider: Provider) -> None:
    """A cancelled purchase has what it heard, and the provider sees it go."""
    heard, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        await response.write(DELTA)
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    provider.answer = answer
    purchase = buying(provider.url, lambda line: heard.set() if line.startswith("first sound") else None)
    task = asyncio.ensure_future(purchase.run())
    await within(heard.wait())
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert purchase.interrupted
    assert [piece.data for piece in purchase.log.slices] == [b"hello"]
    assert purchase.marks.ended is not None
    assert purchase.request_id == "r1"
    await within(gone.wait())


async def test_a_long_song_is_told_of_now_and_then(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first slice, and then one in so many seconds."""
    monkeypatch.setattr(module, "_PROGRESS_SECONDS", 0.0)
    heard = asyncio.Event()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if line.startswith("first sound"):
            heard.set()

    second = encode_event(2, "result", 200, delta_payload(request_id="r1", expires_at=1, data=b"again"))

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        await response.write(DELTA)
        await within(heard.wait())
        await response.write(second + STOP)
        return response

    provider.answer = answer
    await bought(provider.url, tell)
    assert [line.partition(" after")[0] for line in lines[2:4]] == ["first sound", "sound"]
    assert lines[3].endswith(": 10 bytes")


# -- the file ----------------------------------------------------------------------------------------------------------


async def test_the_file_is_fetched_from_listed_hosts_only(provider: Provider) -> None:
    """Any other url is left alone, and the song is bought all the same."""
    provider.says(DELTA + stop(f"{provider.url}/song.mp3"))
    purchase = await bought(provider.url)
    assert len(provider.requests) == 1
    assert purchase.failure is None
    assert purchase.file is None
    assert "upstream.audio_hosts" in (purchase.file_failure or "")


async def test_a_file_that_cannot_be_fetched_is_told_without_its_url(provider: Provider) -> None:
    """Only the kind of the error: its text names the host, and others name the url."""
    async with raw() as gone:
        pass
    provider.says(DELTA + stop(f"{gone}/song.mp3?Signature=s"))
    purchase = await bought(provider.url, audio_hosts=["127.0.0.1:*"])
    assert purchase.file_failure == "The connection failed (ClientConnectorError)."


async def test_a_song_without_a_url_has_no_file(provider: Provider) -> None:
    """Nothing is fetched."""
    provider.says(DELTA + stop(""))
    purchase = await bought(provider.url)
    assert (purchase.file, purchase.file_failure, purchase.interrupted) == (None, None, False)


# -- HTTP/2 ------------------------------------------------------------------------------------------------------------


def anonymous(side: int) -> ssl.SSLContext:
    """TLS without certificates, which a test has none of."""
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


@asynccontextmanager
async def tls_host(*protocols: str) -> AsyncIterator[str]:
    context = anonymous(ssl.PROTOCOL_TLS_SERVER)
    if protocols:
        context.set_alpn_protocols(list(protocols))

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("protocols", "chosen"), [(("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), ((), "none")]
)
async def test_the_hosts_choice_of_protocol_is_learned(protocols: tuple[str, ...], chosen: str) -> None:
    """In a handshake that asks for nothing; the call that follows is refused by its certificate here."""
    async with tls_host(*protocols) as url:
        purchase = Purchase(
            Upstream(base_url=url), ProviderKey(SECRET), SONG, tls=lambda: anonymous(ssl.PROTOCOL_TLS_CLIENT)
        )
        await within(purchase.run())
    assert purchase.alpn == chosen
    assert purchase.marks.sent is None


async def test_a_handshake_that_fails_is_no_failure_of_its_own() -> None:
    """The call itself will tell what is wrong with the host."""
    async with raw() as gone:
        pass
    purchase = await bought(gone.replace("http:", "https:"))
    assert purchase.alpn is None
    assert purchase.failure is not None
    assert purchase.failure.code == "upstream_unavailable"

"""How a generation fails: each shape of error, each way in which a connection breaks, each time that runs out.

Invariant under test: nothing but UpstreamError comes out of the client, by the code that tells what to do, with the
provider's name for the request as far as it is known, and with the key in no part of it.
"""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Billed, SourceEvent
from gateway.protocol.sse import encode_event
from gateway.upstream.dashscope import DashScopeSource
from gateway.upstream.keys import KeyRefusedError, ProviderKey
from tests.support.provider import (
    DELTA,
    END,
    EVENTS,
    FACTS,
    FILE,
    HEAD,
    SECRET,
    SONG,
    STOP,
    THROTTLED,
    Provider,
    failure,
    heard,
    raw,
)
from tests.support.wire import whole_payload


@pytest.mark.parametrize(
    ("status", "body", "code", "request_id"),
    [
        (429, THROTTLED, "upstream_busy", "r9"),
        (400, b"event:error\n:HTTP_STATUS/429\ndata:" + THROTTLED + b"\n\n", "upstream_busy", "r9"),
        (404, b'{"error":{"code":"model_not_found","message":"m"}}', "upstream_refused", "header"),
        (502, b"<html>", "upstream_failed", "header"),
        (200, THROTTLED, "upstream_busy", "r9"),
        (200, b"<html>", "upstream_protocol", "header"),
        (204, b"", "upstream_failed", "header"),
    ],
)
async def test_each_shape_of_error_is_understood(
    provider: Provider, status: int, body: bytes, code: str, request_id: str
) -> None:
    """Status, body and content type in any combination give our error, with the provider's name for the request."""
    provider.says(body, status=status, headers={"Content-Type": "application/json", "X-Request-Id": "header"})
    error, said = await failure(provider.url)
    assert (error.code, error.request_id, said) == (code, request_id, [])


@pytest.mark.parametrize(("status", "after", "seconds"), [(429, "7", 7.0), (429, "soon", None), (401, "7", None)])
async def test_the_provider_s_own_pause_is_kept(
    provider: Provider, status: int, after: str, seconds: float | None
) -> None:
    """Retry-After in seconds goes with an error that may be tried again, and with no other."""
    provider.says(b"", status=status, headers={"Retry-After": after})
    assert (await failure(provider.url))[0].retry_after == seconds


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_gives_way_to_the_next(provider: Provider, tmp_path: Path, status: int) -> None:
    """The refusal says that there is another key, the next generation uses it; the last refusal is for the operator."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"].endswith("good"):
            return web.Response(body=DELTA + STOP, headers=EVENTS)
        return web.json_response({"code": "InvalidApiKey", "message": "Invalid", "request_id": "r9"}, status=status)

    async def last(opened: DashScopeSource) -> SourceEvent:
        async with opened.open(SONG) as events:
            return [event async for event in events][-1]

    provider.answer = answer
    file = tmp_path / "keys"
    file.write_text("sk-bad\nsk-good\n")
    source = DashScopeSource(Upstream(base_url=provider.url), ProviderKey(path=file))
    with pytest.raises(KeyRefusedError):
        await last(source)
    assert await last(source) == END
    file.write_text("sk-bad\nsk-worse\n")
    with pytest.raises(UpstreamError, match=r"upstream\.api_key_file") as caught:
        await last(source)
    assert (type(caught.value), caught.value.request_id) == (UpstreamError, "r9")
    await source.close()
    assert len(provider.requests) == 3


async def test_a_name_for_a_generation_that_holds_the_key_is_none(provider: Provider) -> None:
    """Some proxies make such names; tenants are told them, and so are the ledger and traces."""
    said = f'{{"code": "InternalError", "message": "no", "request_id": "r-{SECRET}"}}'.encode()
    provider.says(said, status=500, headers={"Content-Type": "application/json"})
    assert (await failure(provider.url))[0].request_id is None
    provider.says(DELTA.replace(b"r1", SECRET.encode()) + STOP)
    assert [event.request_id for event in await heard(provider.url) if isinstance(event, Accepted)] == [""]


async def test_no_redirect_is_followed(provider: Provider) -> None:
    """The key goes to the configured host alone."""
    provider.says(b"", status=307, headers={"Location": f"{provider.url}/elsewhere"})
    assert (await failure(provider.url))[0].code == "upstream_refused"
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("wire", "code", "sounds"),
    [
        (DELTA + encode_event(2, "error", 429, THROTTLED), "upstream_busy", 1),
        (b"", "upstream_failed", 0),
        (encode_event(1, "result", 200, b'{"request_id":"r1"}'), "upstream_failed", 0),
        (DELTA, "upstream_interrupted", 1),
        (DELTA + DELTA[: len(DELTA) // 2], "upstream_interrupted", 1),
        (DELTA + b"event:error\ndata:" + THROTTLED, "upstream_busy", 1),
        (STOP, "upstream_empty", 0),
        (DELTA + b"data:{\n\n", "upstream_protocol", 1),
        (DELTA + b"data:" + b"x" * 2000, "upstream_protocol", 1),
    ],
)
async def test_a_stream_that_is_not_whole_fails_by_name(
    provider: Provider, wire: bytes, code: str, sounds: int
) -> None:
    """Errors amid the song, ends without a stop, a stop without a sound and oversized events are told apart."""
    provider.says(wire)
    error, said = await failure(provider.url, max_event_bytes=1000)
    assert (error.code, sum(isinstance(event, AudioDelta) for event in said)) == (code, sounds)
    assert error.request_id is not None or not said


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((HEAD, DELTA), "upstream_interrupted"),
        ((HEAD,), "upstream_failed"),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), "upstream_protocol"),
        ((b"HTTP/1.1 200 O",), "upstream_failed"),
    ],
)
async def test_a_connection_that_breaks_is_told_by_what_came_before(pieces: tuple[bytes, ...], code: str) -> None:
    """Before the song it failed, in the middle it was interrupted, and what is not HTTP is a protocol error."""
    async with raw(*pieces) as url:
        error, _ = await failure(url)
    assert error.code == code
    assert error.__notes__


async def test_a_connection_that_is_reset_without_an_answer_failed() -> None:
    """A reset before the first byte is a failure that is sent once and not again."""
    async with raw(b"", reset=True) as url:
        assert (await failure(url))[0].code == "upstream_failed"


async def test_a_provider_that_cannot_be_reached_is_unavailable(provider: Provider) -> None:
    """A closed port and a failing TLS handshake are `upstream_unavailable`, with the cause in a note for the log."""
    async with raw() as gone:
        pass
    for url in (gone, provider.url.replace("http:", "https:")):
        error, _ = await failure(url)
        assert error.code == "upstream_unavailable"
        assert "127.0.0.1" in error.__notes__[0]


class NeverResolver(AbstractResolver):
    """A name server that does not answer."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        pass


async def test_connecting_has_a_time_of_its_own() -> None:
    """A connection that does not come about in time is a timeout, long before the first event is due."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NeverResolver())) as session:
        config = Upstream(base_url="http://provider.test", connect_timeout=0.05)
        with pytest.raises(UpstreamError, match="accept a connection") as caught:
            async with DashScopeSource(config, ProviderKey(SECRET), session).open(SONG) as events:
                await anext(events)
    assert caught.value.code == "upstream_timeout"


async def test_the_first_event_and_silence_have_times_of_their_own(provider: Provider) -> None:
    """No head, no body and a pause amid the song all end in a timeout whose sentence tells which."""
    async with raw() as url:
        assert "begin" in (await failure(url, first_event_timeout=0.1))[0].message
    provider.begins()
    assert "begin" in (await failure(provider.url, first_event_timeout=0.2))[0].message
    provider.begins(DELTA)
    error, said = await failure(provider.url, idle_timeout=0.2)
    assert "silent" in error.message
    assert (error.code, error.request_id, len(said)) == ("upstream_timeout", "r1", 2)


@pytest.mark.parametrize("url", ["provider", "ftp://127.0.0.1", "http://[::1", "http://"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    """A base url that cannot be called is the operator's to mend."""
    error, _ = await failure(url)
    assert (error.code, "base_url" in error.message) == ("upstream_refused", True)


async def test_without_a_key_nothing_is_sent(provider: Provider) -> None:
    """A missing key ends the generation before the provider hears of it."""
    source = DashScopeSource(Upstream(base_url=provider.url), ProviderKey())
    with pytest.raises(UpstreamError) as caught:
        async with source.open(SONG) as events:
            await anext(events)
    assert caught.value.code == "upstream_refused"
    assert provider.requests == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (THROTTLED, "upstream_busy"),
        (b"<html>", "upstream_protocol"),
        (b" " * 5000, "upstream_protocol"),
        (whole_payload(url="", **FACTS), "upstream_empty"),
        (whole_payload(url="http://169.254.169.254/", **FACTS), "upstream_refused"),
    ],
)
async def test_a_file_that_does_not_come_fails_by_name(provider: Provider, body: bytes, code: str) -> None:
    """Errors under status 200, unreadable and oversized answers, silence and urls elsewhere are told apart."""
    provider.says(body, headers={})
    assert (await failure(provider.url, FILE, max_event_bytes=4000))[0].code == code


async def test_a_file_that_is_empty_is_no_song(provider: Provider) -> None:
    """A url behind which there is nothing is `upstream_empty`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"" if request.method == "GET" else whole_payload(url=f"{provider.url}/a", **FACTS))

    provider.answer = answer
    error, said = await failure(provider.url, FILE, audio_hosts=["127.0.0.1:*"])
    assert (error.code, error.request_id, said) == ("upstream_empty", "r1", [Accepted("r1"), Billed(200.0)])


async def test_a_file_that_breaks_off_is_interrupted(provider: Provider) -> None:
    """Half a file is not a song."""
    async with raw(HEAD, b"half") as url:
        provider.says(whole_payload(url=f"{url}/a", **FACTS), headers={})
        error, said = await failure(provider.url, FILE, audio_hosts=["127.0.0.1:*"])
    assert (error.code, said[2:]) == ("upstream_interrupted", [AudioDelta(b"half")])

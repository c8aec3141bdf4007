"""The provider's client against real servers on free ports: a generation that goes well, in both modes, and leaving.

Invariant under test: exactly the documented call is sent, its events come out in order, and whoever leaves is gone
for the provider at once. How generations fail stands in test_dashscope_failures.py.
"""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from gateway.config.schema import Upstream
from gateway.model import Accepted, AudioDelta, Billed, Finished
from gateway.protocol.dashscope import delta_payload
from gateway.upstream.dashscope import DashScopeSource
from gateway.upstream.keys import ProviderKey
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
    Provider,
    heard,
    source,
)
from tests.support.wire import whole_payload

# -- a generation that goes well -------------------------------------------------------------------------------------


async def test_the_documented_call_is_sent_and_its_events_come_out(provider: Provider) -> None:
    """One POST with the key, the headers and the body of the documents; then acceptance, audio and the end."""
    provider.says(DELTA + b":keepalive\n\n" + DELTA + STOP)
    assert await heard(provider.url + "/") == [Accepted("r1"), AudioDelta(b"hello"), AudioDelta(b"hello"), END]
    ((request, body),) = provider.requests
    assert (request.method, request.path) == ("POST", "/api/v1/services/audio/music/generation")
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.headers["X-DashScope-SSE"] == "enable"
    assert request.headers["Accept"] == "text/event-stream"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(body)["input"]["prompt"] == "slow rain on a roof"


async def test_a_generation_leaves_no_cookie_for_the_next(provider: Provider) -> None:
    """What the provider's load balancer sets does not come back, and no connection is used twice."""
    provider.says(DELTA + STOP, headers=EVENTS | {"Set-Cookie": "acw_tc=1"})
    async with source("http://localhost" + provider.url.removeprefix("http://127.0.0.1")) as opened:
        for _ in range(2):
            async with opened.open(SONG) as events:
                assert [event async for event in events][-1] == END
    (first, _), (second, _) = provider.requests
    assert "Cookie" not in second.headers
    assert not first.keep_alive


async def test_a_simulated_provider_says_so(provider: Provider) -> None:
    """The simulator's header is passed on with the acceptance, in both modes."""
    provider.says(DELTA + STOP, headers=EVENTS | {"X-Wavegate-Simulated": "true"})
    assert (await heard(provider.url))[0] == Accepted("r1", simulated=True)
    body = whole_payload(url="", **FACTS).replace(b'"data":""', b'"data":"aGVsbG8="')
    provider.says(body, headers={"X-Wavegate-Simulated": "true"})
    assert (await heard(provider.url, FILE))[0] == Accepted("r1", simulated=True)


async def test_the_last_event_may_lack_its_blank_line(provider: Provider) -> None:
    """An answer that ends right after the last event's data is whole."""
    provider.says(DELTA + STOP.rstrip(b"\n"))
    assert (await heard(provider.url))[-1] == END


async def test_the_end_does_not_wait_for_the_connection_s(provider: Provider) -> None:
    """After the last event nothing is waited for, although the provider holds the line."""
    provider.begins(DELTA, STOP)
    assert (await heard(provider.url, idle_timeout=30))[-1] == END


async def test_any_byte_is_a_sign_of_life(provider: Provider) -> None:
    """Comments alone keep a silent generation alive beyond the idle time."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        await response.write(DELTA)
        for _ in range(10):
            await asyncio.sleep(0.1)  # The provider's pace, not a wait for anything.
            await response.write(b":\n")
        await response.write(b"\n" + STOP)
        return response

    provider.answer = answer
    assert (await heard(provider.url, idle_timeout=0.8))[-1] == END


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("fun-music-v1", "/p"),
        ("fun-music-preview", "/p"),
        ("cosyvoice-v3-flash", "/api/v1/services/audio/tts/SpeechSynthesizer"),
        ("qwen3-tts-flash", "/api/v1/services/aigc/multimodal-generation/generation"),
    ],
)
def test_a_workspace_has_a_host_of_its_own_and_a_family_a_path(model: str, path: str) -> None:
    """The workspace's id replaces the shared host; one slash joins base and path; that of songs is a setting."""
    config = Upstream(workspace_id="llm-1x", path="/p")
    url = DashScopeSource(config, ProviderKey(SECRET)).url(model)
    assert url == f"https://llm-1x.cn-beijing.maas.aliyuncs.com{path}"
    config = Upstream(base_url="http://127.0.0.1:1/", path="/p")
    assert DashScopeSource(config, ProviderKey(SECRET)).url(model) == f"http://127.0.0.1:1{path}"


async def test_a_session_that_is_lent_stays_open(provider: Provider) -> None:
    """A caller's session is used and left alone; closing twice does no harm."""
    provider.says(DELTA + STOP)
    async with aiohttp.ClientSession() as session:
        opened = DashScopeSource(Upstream(base_url=provider.url), ProviderKey(SECRET), session)
        async with opened.open(SONG) as events:
            assert [event async for event in events][-1] == END
        await opened.close()
        await opened.close()
        assert not session.closed


# -- leaving ---------------------------------------------------------------------------------------------------------


async def test_leaving_ends_the_connection(provider: Provider) -> None:
    """Whoever leaves in the middle of a song is gone for the provider at once."""
    left = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        await response.write(DELTA)
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return response

    provider.answer = answer
    async with source(provider.url) as opened:
        async with opened.open(SONG) as events:
            assert await anext(events) == Accepted("r1")
        await asyncio.wait_for(left.wait(), 5)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_task_ends_the_connection(begun: bool) -> None:
    """Cancelling before the answer and in the middle of the song closes the connection and is not swallowed."""
    listening = asyncio.Event()
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if begun:
            writer.write(HEAD + DELTA)
        else:
            listening.set()
        await reader.read()
        left.set()
        writer.close()

    async def listen(opened: DashScopeSource) -> None:
        async with opened.open(SONG) as events:
            async for event in events:
                if isinstance(event, AudioDelta):
                    listening.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, source(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as opened:
        task = asyncio.create_task(listen(opened))
        await asyncio.wait_for(listening.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 5)


async def test_a_generation_that_is_not_read_is_not_bought(provider: Provider) -> None:
    """Opening alone sends nothing: the call is made when the first event is asked for."""
    async with source(provider.url) as opened, opened.open(SONG):
        pass
    assert provider.requests == []


# -- mode file -------------------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_from_its_url(provider: Provider) -> None:
    """The call does not ask for events; the file comes from the url, without the key, as audio before the end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(body=b"ID3" * 1000)
        return web.Response(body=whole_payload(url=f"{provider.url}/a.mp3?s=%2F", **FACTS))

    provider.answer = answer
    first, bill, *audio, last = await heard(provider.url, FILE, audio_hosts=["127.0.0.1:*"])
    assert (first, bill) == (Accepted("r1"), Billed(200.0)), "what it costs is known before it is fetched"
    assert b"".join(event.data for event in audio if isinstance(event, AudioDelta)) == b"ID3" * 1000
    assert isinstance(last, Finished)
    assert last.billed_seconds == 200
    (call, _), (get, _) = provider.requests
    assert call.headers["Accept"] == "application/json"
    assert "X-DashScope-SSE" not in call.headers
    assert "Authorization" not in get.headers


async def test_audio_inside_the_answer_comes_in_slices(provider: Provider) -> None:
    """A song in the document itself is yielded whole, in pieces that no listener has to wait long for."""
    audio = bytes(range(256)) * 600
    delta = json.loads(delta_payload(request_id="r1", expires_at=1, data=audio))
    whole = json.loads(whole_payload(url="http://elsewhere.example/a.mp3", **FACTS))
    whole["output"]["audio"]["data"] = delta["output"]["audio"]["data"]
    provider.says(json.dumps(whole).encode(), headers={})
    _, *pieces, _ = await heard(provider.url, FILE)
    data = [event.data for event in pieces if isinstance(event, AudioDelta)]
    assert b"".join(data) == audio
    assert max(map(len, data)) <= 65536
    assert len(provider.requests) == 1


async def test_the_provider_may_have_a_name_inside(provider: Provider) -> None:
    """What the operator names is asked wherever it leads: only results are held to public addresses."""
    provider.says(DELTA + STOP)
    assert (await heard(provider.url.replace("127.0.0.1", "localhost")))[-1] == END

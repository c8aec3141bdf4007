"""The provider of the bench's own, called as the gateway calls one.

Invariant under test: the gateway's own decoders understand it, and what was written was written after its time.
It must not know what is measured.
"""

import asyncio
import time

import aiohttp
import pytest

from gateway.bench import latency_provider
from gateway.bench.benches import BenchError
from gateway.bench.latency_provider import Provider, events
from gateway.model import Accepted, AudioDelta, Finished, Mode, SongInput, SongRequest, SourceEvent
from gateway.protocol import fun_music
from gateway.protocol.dashscope import GenerationDecoder
from gateway.protocol.sse import SseDecoder


async def heard(url: str, prompt: str) -> list[SourceEvent]:
    """All that a call says."""
    body = fun_music.body(SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt=prompt)))
    sse, decoder = SseDecoder(1 << 20), GenerationDecoder()
    async with aiohttp.ClientSession() as session, session.post(url + fun_music.PATH, data=body) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["X-Wavegate-Simulated"] == "true"
        events = sse.feed(await answer.read())
    return [said for event in events for said in decoder.feed(event)]


async def test_a_song_is_said_when_it_is_told() -> None:
    """To whoever called with that prompt, and timed by the bench's clock."""
    async with Provider(time.monotonic) as provider, asyncio.timeout(20):
        other = asyncio.create_task(heard(provider.url, "another song"))
        call = asyncio.create_task(heard(provider.url, "this song"))
        generation = await provider.called("this song")
        before = time.monotonic()
        generation.send(b"sound")
        generation.send(b"more")
        assert before <= generation.sent[0] <= generation.sent[1] <= time.monotonic()
        generation.finish(3.2, 48_000, 2)
        accepted, first, second, last = await call
        assert isinstance(accepted, Accepted)
        assert (first, second) == (AudioDelta(b"sound"), AudioDelta(b"more"))
        assert isinstance(last, Finished)
        assert (last.billed_seconds, last.sample_rate, last.channels, last.url) == (3, 48_000, 2, None)
        await provider.called("another song")
    assert await other == []


async def test_who_hangs_up_before_asking_is_let_go() -> None:
    """And nobody waits for ever for a call that does not come."""
    async with Provider(time.monotonic) as provider:
        port = int(provider.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\n")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_a_call_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time."""
    monkeypatch.setattr(latency_provider, "_CALL_SECONDS", 0.01)
    async with Provider(time.monotonic) as provider:
        with pytest.raises(BenchError, match=r"has called for no song within 0\.01 s"):
            await provider.called("silence")


def test_pieces_are_whole() -> None:
    """What is left over is left out."""
    assert events([b"a", b"b", b"c", b"d", b"e"], 2) == [b"ab", b"cd"]
    assert events([b"a"], 2) == []

"""What streams and listeners leave behind: nothing that only a search for circles would find.

Songs lie in memory until the last who refers to them is gone. A circle of references keeps them for as long as nobody
searches, and the gateway has that done seldom, because it stops everybody meanwhile.
Invariant under test: with the search turned off nothing of a song is left, however it ended and whoever heard it.
It must not know which objects refer to which.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress

import aiohttp
import pytest

from gateway.config.schema import Limits, Relay, Upstream
from gateway.model import RenditionId
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener
from gateway.relay.outcome import Outcome
from gateway.relay.segments import Segments
from gateway.relay.stream import Stream
from gateway.server.hls import sessions
from gateway.server.progressive import AudioConnection
from gateway.server.session import ClientSession
from gateway.server.strict import StrictProtocol
from gateway.server.websocket import WebSocketConnection
from tests.support.gateway import Bench, bench, hear, say, talk
from tests.support.server import soon

OURS = (
    AudioConnection,
    Channel,
    ClientSession,
    Listener,
    Outcome,
    RenditionId,
    Segments,
    Stream,
    StrictProtocol,
    WebSocketConnection,
)
LIMITS = Limits(concurrent_streams=0, streams_per_minute=0)
WHOLE = "scale"
SCENARIOS = (
    WHOLE,
    "scale cut after=1 how=reset",
    "scale cut after=1 how=end torn=1",
    "scale garbage after=1 size=60000",
    "scale bad_base64 after=1",
    "scale bad_json after=1",
    "scale stall after=1 silence=60",
    "noise",
    "empty",
    "error",
    "error after=1",
    "moderation",
)
PATHS = ("audio.mp3", "audio.ogg", "audio.pcm?bitrate=1", "clip.wav", "hls/index.m3u8")
HEADERS = ({"Icy-MetaData": "1"}, {"Range": "bytes=100-"})


@pytest.fixture(autouse=True)
def nobody_searches() -> Iterator[None]:
    """And what others have left is gone before."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def found() -> Counter[str]:
    """Of ours what a search finds, by kind."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    return Counter(type(one).__name__ for one in gc.garbage if issubclass(type(one), OURS))


@pytest.mark.parametrize("leaves", [False, True])
async def test_songs_leave_no_circle(leaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they ended, after those who heard all of them, those who left, and those who came too late."""
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.5)
    async with bench(relay=Relay(retain_seconds=0.1), upstream=Upstream(idle_timeout=1.0), limits=LIMITS) as gateway:
        await asyncio.gather(*[song(gateway, scenario, leaves=leaves) for scenario in SCENARIOS])
        await soon(lambda: not gateway.gateway.hub.streams and not gateway.gateway.connections)
        # One turn, in which the loop lets go of what it has just called.
        await asyncio.sleep(0)
        assert found() == {}


async def song(gateway: Bench, scenario: str, *, leaves: bool) -> None:
    """One that is ordered, heard in several ways, and asked for again; and one that is ordered and heard at once."""
    prompt = f"[[{scenario} seconds=2 speed=20 wait=0]] a song for this test"
    stream = await gateway.create(prompt)
    urls = [f"{gateway.url}/v1/streams/{stream['id']}/{path}" for path in PATHS]
    async with talk(gateway) as socket:
        await say(socket, type="stream.attach", stream_id=stream["id"])
        if leaves:
            await socket.recv()
            socket.transport.abort()
        else:
            await hear(socket)
    said = {"model": "fun-music-v1", "voice": "female", "input": prompt}
    answers = await asyncio.gather(
        heard(gateway.http.post(f"{gateway.url}/v1/audio/speech", json=said), leaves=leaves),
        *[heard(gateway.http.get(url), leaves=leaves) for url in urls],
        *[heard(gateway.http.get(urls[0], headers=headers), leaves=leaves) for headers in HEADERS],
    )
    if scenario == WHOLE and not leaves:
        assert answers == [200, 200, 200, 422, 200, 200, 200, 206]
    await heard(gateway.http.get(urls[0]), leaves=leaves)


async def heard(asked: AbstractAsyncContextManager[aiohttp.ClientResponse], *, leaves: bool) -> int | None:
    """As far as it goes, or the beginning of it; the status of a whole answer."""
    with suppress(aiohttp.ClientError):
        async with asked as response:
            await (response.content.readany() if leaves else response.read())
            if leaves:
                response.close()
            return response.status
    return None

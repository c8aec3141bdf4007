"""Where delays are measured: a gateway in a process of its own, streams on the air, and a crowd that hears them.

The gateway has a processor for itself. The provider and the probe are in this process, so that one clock times both
ends; the crowd stands aside. Invariant: figures count only if the whole crowd was there until the end and all that it
heard was right. It must not know what is measured.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

from gateway.bench.benches import BenchError
from gateway.bench.latency_provider import Generation, Provider, events
from gateway.bench.peers.pace import Pace
from gateway.bench.programs import program
from gateway.bench.stage import Crowd, Server, server
from gateway.bench.usage import split_processors
from gateway.upstream.simulator.recipe import CHANNELS, Recipe
from gateway.upstream.simulator.rendering import Rendering
from transcode.framer import Framer

Tell = Callable[[str], None]
Clock = Callable[[], float]

# Of an mp3 of 128 kbit/s and 48 kHz. The gateway's chunks are 100 ms or more and it holds one frame back: so an event
# of six frames completes a chunk, the first one too.
FRAMES, FRAME_SAMPLES, RATE, BITRATE = 6, 1152, 48_000, 128_000
EVENT_SECONDS = FRAMES * FRAME_SAMPLES / RATE
_SONG_SECONDS = 20.0  # then it begins anew
_GROUP = "everybody"
_SPARE_FILES = 256


@dataclass(frozen=True, slots=True)
class Scale:
    """So many streams on the air, and so many listeners, over all of them; `settle` seconds until all is quiet."""

    streams: int = 10
    listeners: int = 1000
    settle: float = 2.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What runs. `radio` are the streams on the air, by their ids; `pieces` are events' worth of sound."""

    provider: Provider
    gateway: Server
    radio: dict[str, Generation]
    pieces: Sequence[bytes]
    clock: Clock


@asynccontextmanager
async def scene(scale: Scale, tell: Tell, clock: Clock = time.monotonic) -> AsyncIterator[Scene]:
    """All of it, once everybody listens. Raises BenchError when not everything is as it should be."""
    processor, others = split_processors()
    before = os.sched_getaffinity(0)
    async with AsyncExitStack() as stack:
        os.sched_setaffinity(0, others)
        stack.callback(os.sched_setaffinity, 0, before)
        tell("a song is made")
        pieces = await asyncio.to_thread(sound)
        provider = await stack.enter_async_context(Provider(clock))
        gateway = await stack.enter_async_context(server(provider.url, processor))
        radio = await stack.enter_async_context(on_air(provider, gateway, scale.streams, pieces, clock))
        tell(f"{scale.listeners} listeners come")
        files = str(scale.listeners + _SPARE_FILES)
        running = await stack.enter_async_context(program("gateway.bench.crowd", files, aside=True, processors=others))
        crowd = Crowd(running)
        await crowd.join(
            _GROUP, "websocket", gateway.public, scale.listeners, key=gateway.key, streams=tuple(radio), since="live"
        )
        # A low priority alone may keep the probe waiting for some milliseconds, until the crowd's turn is over.
        os.sched_setscheduler(running.pid, os.SCHED_IDLE, os.sched_param(0))
        await asyncio.sleep(scale.settle)
        yield Scene(provider, gateway, radio, pieces, clock)
        await content(crowd, scale.listeners)


async def content(crowd: Crowd, listeners: int) -> None:
    """Raises BenchError unless everybody is still there and has heard what was sent."""
    group = (await crowd.report()).groups[_GROUP]
    if group.present < listeners or group.faults:
        words = "; ".join(group.words) or "no more is known"
        raise BenchError(f"{group.present} of {listeners} listeners were there at the end: {words}")


@lru_cache(maxsize=1)
def sound() -> list[bytes]:
    """A song, in pieces for an event each. It is made once."""
    recipe = Recipe(
        tune="song",
        seconds=_SONG_SECONDS,
        text="a calm piano tune at night",
        lyrics="",
        gender=None,
        format="mp3",
        bitrate=BITRATE,
        watermark=False,
        streamed=True,
        id3=False,
        sample_rate=RATE,
        channels=CHANNELS,
    )
    framer = Framer()
    frames = [frame.data for piece in Rendering(recipe).pieces() for frame in framer.feed(piece)]
    return events(frames, FRAMES)


@asynccontextmanager
async def on_air(
    provider: Provider, gateway: Server, count: int, pieces: Sequence[bytes], clock: Clock
) -> AsyncIterator[dict[str, Generation]]:
    """So many streams in real time, one event after the other, evenly; by their ids."""
    radio: dict[str, Generation] = {}
    for number in range(count):
        prompt = f"music for the background, number {number}"
        stream = await gateway.order(prompt)
        radio[stream] = await provider.called(prompt)
    task = asyncio.create_task(_broadcast(list(radio.values()), pieces, clock))
    try:
        yield radio
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
        for generation in radio.values():
            generation.finish(len(generation.sent) * EVENT_SECONDS, RATE, CHANNELS)


async def _broadcast(radio: Sequence[Generation], pieces: Sequence[bytes], clock: Clock) -> None:
    pace = Pace(EVENT_SECONDS / len(radio), clock)
    number = 0
    while True:
        await asyncio.sleep(pace.left())
        turn, station = divmod(number, len(radio))
        radio[station].send(pieces[turn % len(pieces)])
        number += 1

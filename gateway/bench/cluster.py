"""The bench of several processes as one gateway: what they carry, what the way between them takes, what Redis is asked.

Invariant: figures that are compared come from the same run, measured in turns; every byte is compared, at whichever
process it was heard. It must not know how processes share a stream.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TextIO

from gateway.bench import runner
from gateway.bench.benches import BenchError, Order
from gateway.bench.cluster_redis import RedisServer, redis_server, since
from gateway.bench.cluster_rows import Asked, Turn, command_rows, latency_rows, worker_rows
from gateway.bench.cluster_scene import Nodes, nodes, workers
from gateway.bench.gathering import SETTLE_SECONDS, Size, sit
from gateway.bench.latency_probe import Probe, probe
from gateway.bench.latency_scene import content
from gateway.bench.programs import program
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import Crowd, Server, Stage, server, stage
from gateway.bench.ticks import run_loop
from gateway.protocol.frames import Header

STREAMS = 4  # on the air while the way is timed
_GROUP = "everybody"
_SPARE_FILES = 256

HOW = {
    "workers": "One song of 128 kbit/s to so many listeners over WebSocket: by one process without Redis, and by two "
    "workers on one port, each on a processor of its own, about half of them each, in turns. Processor time is the "
    "kernel's, of the supervisor, both workers and all that they do for each other, without Redis, which is told "
    "beside it. Two carry twice as many as one where a frame costs the same. Every byte is compared, and the song's "
    "hash.",
    "latency": "Two nodes and a listener at each, in one process with one clock: by how much later each chunk comes "
    "from the node that does not own the stream.",
    "commands": "A stream of one node that is heard at another, by one listener and by many: what the nodes send to "
    "Redis for it, which is what they send without any stream taken off. A script is one command; what Redis carried "
    "out in all, within scripts too, is told beside it.",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How many listen: to the workers, and in the crowd at the other node; `settle` seconds until all is quiet."""

    listeners: int = 6000
    crowd: int = 200
    settle: float = SETTLE_SECONDS


def scale_of(listeners: int | None) -> Scale:
    """The usual, or so many of each."""
    return Scale() if listeners is None else Scale(listeners, listeners)


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    size = scale or scale_of(order.listeners)
    return runner.run("cluster", order, out, err, lambda part, tell: run_loop(_measure(part, order, size, tell)), HOW)


async def _measure(part: str, order: Order, scale: Scale, tell: Tell) -> Sequence[Row]:
    if part == "workers":
        async with stage() as here, redis_server(here.others) as redis:
            return [*worker_rows(*await carry(here, redis, order, scale, tell)), *here.rows()]
    async with nodes(tell, time.monotonic) as both:
        if part == "latency":
            return latency_rows(*await added(both, order.seconds, scale.settle, tell))
        return command_rows(*await asked(both, order.seconds, scale, tell))


# -- two workers -------------------------------------------------------------------------------------------------------


async def carry(
    here: Stage, redis: RedisServer, order: Order, scale: Scale, tell: Tell
) -> tuple[list[Turn], list[Turn]]:
    """What one process and what two workers took, a turn a round."""
    found: tuple[list[Turn], list[Turn]] = [], []
    size = Size("websocket", scale.listeners)

    def one() -> AbstractAsyncContextManager[Server]:
        return server(here.provider, here.processor)

    marks = [0.0, 0.0]

    def two() -> AbstractAsyncContextManager[Server]:
        return workers(here, redis, 2, marks.append)

    for number in range(order.rounds):
        for turns, opened, words in zip(found, (one, two), ("one process", "two workers"), strict=True):
            tell(f"{scale.listeners} listeners to {words}, round {number + 1} of {order.rounds}")
            sitting = await sit(here, size, order.seconds, scale.settle, opened)
            turns.append(Turn(sitting, marks[-1] - marks[-2]))
    return found


# -- the way to another node -------------------------------------------------------------------------------------------


class Ear:
    """When which chunk came to one node."""

    def __init__(self, node: Server, here: Nodes) -> None:
        self.arrivals: dict[tuple[str, int], float] = {}
        self.pings: list[float] = []
        self._node = node
        self._here = here

    @asynccontextmanager
    async def listening(self, streams: Sequence[str]) -> AsyncIterator[Probe]:
        """Hears all of these."""
        async with probe(self._node.public, self._node.key, self._here.clock, self._heard) as listener:
            for stream in streams:
                listener.say("stream.attach", ref=stream, stream_id=stream, since="live", burst_ms=0)
                await listener.told("stream.started")
            yield listener

    async def ping(self, listener: Probe) -> None:
        """How long an answer takes that is none of another node's business."""
        sent = self._here.clock()
        listener.say("ping", t=sent)
        arrived, _ = await listener.told("pong")
        self.pings.append(arrived - sent)

    def _heard(self, stream: str, header: Header, at: float) -> None:
        self.arrivals[stream, header.seq] = at


async def added(here: Nodes, seconds: float, settle: float, tell: Tell) -> tuple[list[float], list[float]]:
    """By how much later chunks came to the other node, and how long pings took there, in seconds."""
    near, far = Ear(here.owner, here), Ear(here.other, here)
    async with AsyncExitStack() as stack:
        radio = await stack.enter_async_context(here.on_air(STREAMS))
        await stack.enter_async_context(near.listening(tuple(radio)))
        listener = await stack.enter_async_context(far.listening(tuple(radio)))
        await asyncio.sleep(settle)
        near.arrivals.clear()
        far.arrivals.clear()
        tell(f"{seconds:g} s of {STREAMS} streams")
        end = here.clock() + seconds
        while here.clock() < end:
            await far.ping(listener)
            await asyncio.sleep(seconds / 40)
        delays = [far.arrivals[chunk] - at for chunk, at in near.arrivals.items() if chunk in far.arrivals]
    if not delays:
        raise BenchError(f"no chunk has come to both nodes within {seconds:g} s.")
    return delays, far.pings


# -- what Redis is asked -----------------------------------------------------------------------------------------------


async def asked(here: Nodes, seconds: float, scale: Scale, tell: Tell) -> tuple[Asked, Asked, Asked]:
    """Of nobody, of one listener at the other node, and of very many."""
    await asyncio.sleep(scale.settle)
    tell("nothing on the air")
    idle = await _count(here, seconds, 0)
    async with here.on_air(1) as radio:
        async with Ear(here.other, here).listening(tuple(radio)):
            await asyncio.sleep(scale.settle)
            tell("one listener on another node")
            one = await _count(here, seconds, 1)
        tell(f"{scale.crowd} listeners on another node")
        files = str(scale.crowd + _SPARE_FILES)
        async with program("gateway.bench.crowd", files, aside=True, processors=here.others) as running:
            crowd = Crowd(running)
            await crowd.join(
                _GROUP,
                "websocket",
                here.other.public,
                scale.crowd,
                key=here.other.key,
                streams=tuple(radio),
                since="live",
            )
            await asyncio.sleep(scale.settle)
            many = await _count(here, seconds, scale.crowd)
            await content(crowd, scale.crowd)
    return idle, one, many


async def _count(here: Nodes, seconds: float, listeners: int) -> Asked:
    before, begin = await here.redis.commands(), here.clock()
    async with here.redis.sent() as sent:
        await asyncio.sleep(seconds)
    after, end = await here.redis.commands(), here.clock()
    return Asked(listeners, dict(sent), sum(since(before, after).values()), end - begin)

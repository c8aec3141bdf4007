"""Listeners gathered around a gateway's streams, and what it costs to play to them for a while.

A stream's first listener hears it from its start, so that the whole song is known; the others come where it is just
then. Invariant: nothing is counted before everybody has come and has caught up, and afterwards everybody hears the song
to its end, where the gateway tells its hash. It must not know which numbers are good ones.
"""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gateway.bench.benches import BenchError
from gateway.bench.crowd.orders import Door, Found
from gateway.bench.figures import percentile
from gateway.bench.stage import CHUNK_SECONDS, LONGEST, Missing, Server, Stage, crowd, prompt, server
from gateway.bench.stage import Crowd as Listeners

FIRST, OTHERS = "first", "others"
SETTLE_SECONDS = 2.0
_SPARE_FILES = 128
_COME_SECONDS = 1.0  # of a song before anybody has come
_JOINS_A_SECOND = 800.0  # that a song's length allows for; a second try allows for fewer
_TRIES = 3
_END_SECONDS = 30.0
_ORDERS_A_SECOND = 100.0
_MELODIES = 4  # that streams sing in turns: a frame of another stream is found out, and not each has to be made
_BUSY = 0.9
_SCRAPES = 5

T = TypeVar("T")
Opened = Callable[[], AbstractAsyncContextManager[Server]]


@dataclass(frozen=True, slots=True)
class Size:
    """So many listeners at this door, in all, spread over so many streams."""

    door: Door
    listeners: int
    streams: int = 1


@dataclass(frozen=True, slots=True)
class Sitting:
    """What was found. `cpu` is the server's, in seconds as `wall` and what is the crowd's; memory is in bytes.

    `wrong` is how many were not given every byte, or were given one that was wrong, and `words` say what. `heard` are
    all frames that came, in the whole sitting; `counted` those that the server's own metrics say it has written.
    `scrape` is how many seconds its page of metrics took while all of them listened.
    """

    size: Size
    frames: int
    sent: int
    cpu: float
    wall: float
    spreads: list[float]
    crowd_cpu: float
    memory: float
    wrong: int
    words: str
    heard: int = 0
    counted: int = 0
    scrape: float = 0.0

    @classmethod
    def of(cls, size: Size, found: Found, cpu: float, memory: float, wrong: int, words: str) -> "Sitting":
        """What the crowd `found` while the server took `cpu`."""
        return cls(
            size=size,
            frames=sum(group.frames for group in found.groups.values()),
            sent=sum(group.size for group in found.groups.values()),
            cpu=cpu,
            wall=found.wall,
            spreads=found.spreads,
            crowd_cpu=found.cpu,
            memory=memory,
            wrong=wrong,
            words=words,
        )

    @property
    def frame_us(self) -> float:
        """Microseconds of processor time a frame."""
        return self.cpu / self.frames * 1e6 if self.frames else math.inf

    @property
    def kib_us(self) -> float:
        """Microseconds of processor time a KiB on the wire."""
        return self.cpu / (self.sent / 1024) * 1e6 if self.sent else math.inf

    @property
    def slowest(self) -> float:
        """Seconds from the first to the last listener, of the chunk for which that took longest."""
        return max(self.spreads, default=math.inf)

    def told(self) -> str:
        """The load, the load generator, and what forbids to believe the figure, for people."""
        load = f"server {self.cpu / self.wall:.0%} of a processor, crowd {self.crowd_cpu / self.wall:.0%}"
        if self.crowd_cpu > _BUSY * self.wall:
            return f"{load}, the bottleneck"
        # Who is behind is given several chunks at once, which is cheap, and not what was to be measured.
        return f"{load}; late, so chunks went out together" if typical(self) > CHUNK_SECONDS else load


async def sit(
    stage: Stage, size: Size, seconds: float, settle: float = SETTLE_SECONDS, opened: Opened | None = None
) -> Sitting:
    """Gathers everybody, counts for `seconds`, and hears the end. Raises BenchError where that cannot be had.

    `opened` opens another gateway than the usual one.
    """

    def play(gateway: Server, listeners: Listeners, length: float) -> Awaitable[Sitting]:
        return _sit(gateway, listeners, size, seconds, settle, length)

    return await gather(stage, size.listeners, size.streams / _ORDERS_A_SECOND + settle + seconds, play, opened)


async def gather(
    stage: Stage,
    listeners: int,
    seconds: float,
    play: Callable[[Server, Listeners, float], Awaitable[T]],
    opened: Opened | None = None,
) -> T:
    """Has `play` done with a new gateway, a new crowd, and how long a song is that lasts while all come, and `seconds`.

    It is done again, with a longer one, when it raises Missing. Raises BenchError.
    """
    length = _COME_SECONDS + listeners / _JOINS_A_SECOND + seconds
    why: Exception | None = None
    for _ in range(_TRIES):
        try:
            async with (
                opened() if opened is not None else server(stage.provider, stage.processor) as gateway,
                crowd(files(listeners), stage.others) as everybody,
            ):
                return await play(gateway, everybody, length)
        except Missing as missing:
            why = missing
            length = min(2 * length, LONGEST)
    raise BenchError(f"{why}. The machine is too slow or too busy for {listeners} listeners.")


async def _sit(
    gateway: Server, listeners: Listeners, size: Size, seconds: float, settle: float, length: float
) -> Sitting:
    streams = [await gateway.order(prompt(length, number % _MELODIES)) for number in range(size.streams)]
    where: dict[str, Any] = {"url": gateway.public, "key": gateway.key, "streams": streams, "seconds": length}
    # A stream's hash is told over WebSocket only.
    await listeners.join(FIRST, "websocket", count=size.streams, since="start", **where)
    before = gateway.resident()
    rest = size.listeners - size.streams
    if rest > 0:
        await listeners.join(OTHERS, size.door, count=rest, since="live", **where)
    await asyncio.sleep(settle)
    await listeners.mark()
    begin = gateway.cpu()
    await asyncio.sleep(seconds)
    cpu, memory = gateway.cpu() - begin, gateway.resident() - before
    found = await listeners.report()
    if any(group.ended for group in found.groups.values()):
        raise Missing("the song was over before all was counted")
    scrape = await _scraped(gateway)
    last = await listeners.end(length + _END_SECONDS)
    wrong, words = mistakes(last, size.listeners)
    sitting = Sitting.of(size, found, cpu, memory / rest if rest > 0 else 0.0, wrong, words)
    heard = sum(group.heard for group in last.groups.values())
    counted = int(gauge(await gateway.metrics(), "wavegate_frames_written_total"))
    return replace(sitting, heard=heard, counted=counted, scrape=scrape)


async def _scraped(gateway: Server) -> float:
    """Seconds that the metrics take: the least of some, for others use the machine, too."""
    took: list[float] = []
    for _ in range(_SCRAPES):
        begin = time.perf_counter()
        await gateway.metrics()
        took.append(time.perf_counter() - begin)
    return min(took)


def files(listeners: int) -> int:
    """How many a crowd may need."""
    return listeners + _SPARE_FILES


def faults(found: Found) -> tuple[int, str]:
    """How many things were wrong, and words for the first."""
    groups = found.groups.values()
    return sum(sum(group.faults.values()) for group in groups), "; ".join(
        word for group in groups for word in group.words
    )


def mistakes(found: Found, listeners: int) -> tuple[int, str]:
    """The same once every song was over: whole ones that are missing are wrong, too."""
    wrong, words = faults(found)
    missing = listeners - sum(group.whole for group in found.groups.values())
    if missing > wrong:
        return missing, f"{missing} did not hear a whole song; {words}"
    return wrong, words


def gauge(metrics: str, name: str) -> float:
    """The sum of a metric's series."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


def typical(sitting: Sitting) -> float:
    """Seconds from the first to the last listener that one in two chunks takes."""
    return percentile(sitting.spreads, 0.5) if sitting.spreads else math.inf

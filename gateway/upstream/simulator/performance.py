"""One song given to one client as a stream: slice by slice, when each is due, with the one fault that may befall it.

Invariant: the pace is held by deadlines, so lateness never adds up, and a fault happens between the byte before its
point and the byte after it, however the song is sliced.
It must not know how songs are made, nor how events are written.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from gateway.protocol.dashscope import error_payload
from gateway.protocol.family import Made
from gateway.upstream.simulator.facts import Facts
from gateway.upstream.simulator.faults import FAULTS, UNMADE, Fault, Refusal
from gateway.upstream.simulator.scenario import Scenario
from gateway.upstream.simulator.shapes import last_word
from gateway.upstream.simulator.song import Song, SongFailed
from gateway.upstream.simulator.wire import Wire

EMPTY_SECONDS = 30
"""What an empty song costs when its length is not said."""

_SLICE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """`wait` seconds before the first event, then `speed` times real time, 0 as fast as possible."""

    speed: float
    wait: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]


class Performance:
    """Gives `song` once. `charged_seconds` is what it costs: the whole if it was whole, else what was delivered."""

    def __init__(self, song: Song, scenario: Scenario, facts: Facts, wire: Wire, pace: Pace) -> None:
        self._song = song
        self._scenario = scenario
        self._facts = facts
        self._wire = wire
        self._pace = pace
        self._fault = FAULTS[scenario.fault] if scenario.fault is not None else None  # until it has happened
        self._spoil: Callable[[bytes], bytes] | None = None  # for the next event
        self._start = 0.0
        self._position = 0
        self._billed: float | None = None

    @property
    def charged_seconds(self) -> float:
        return self._position / self._song.bytes_per_second if self._billed is None else self._billed

    async def give(self) -> web.StreamResponse:
        """From the headers to the last event, or to where it breaks off. A client that is gone is not an error."""
        try:
            await self._wire.open()
            await self._pace.sleep(self._pace.wait)
            if self._scenario.fault == "empty":
                await self._stop(b"", math.ceil(self._scenario.seconds or EMPTY_SECONDS))
            else:
                await self._sing()
        except SongFailed:
            await self._refuse(UNMADE, "event")
        except (ConnectionError, TimeoutError):
            self._wire.give_up()
        return self._wire.response

    async def _sing(self) -> None:
        self._start = self._pace.clock()
        while True:
            data, last = await self._next()
            if data:
                await self._due()
            if self._fault is not None and (last or self._position >= self._point()):
                fault, self._fault = self._fault, None
                if await self._ended_by(fault, data):
                    return
            if last:
                break
            await self._say(self._facts.delta(data))
            self._position += len(data)
        await self._stop(data, self._song.duration)

    async def _next(self) -> tuple[bytes, bool]:
        """The next slice, which does not reach over the fault's point, and whether it belongs to the last event."""
        song, position = self._song, self._position
        size = self._scenario.slice or max(1, round(song.bytes_per_second * _SLICE_SECONDS))
        if self._fault is not None and position < (point := self._point()):
            size = min(size, point - position)
        data = await song.read(position, size)
        if data and self._scenario.stop_audio:
            return data, not await song.read(position + len(data), 1)
        return data, not data

    def _point(self) -> int:
        return round(self._scenario.after * self._song.bytes_per_second)

    async def _due(self) -> None:
        pace = self._pace
        if pace.speed:
            due = self._start + self._position / self._song.bytes_per_second / pace.speed
            await pace.sleep(max(0.0, due - pace.clock()))

    async def _ended_by(self, fault: Fault, data: bytes) -> bool:
        """Lets the fault happen before `data`. Whether that was the end."""
        scenario = self._scenario
        if (refusal := scenario.refusal) is not None:
            await self._refuse(refusal, scenario.shape)
            return True
        if scenario.fault == "cut":
            if scenario.torn:
                await self._wire.half("result", 200, self._facts.delta(data))
            self._wire.cut(scenario.how)
            return True
        if scenario.fault == "stall":
            await self._wire.silence(scenario.silence, scenario.heartbeat)
            self._start += scenario.silence
        if fault.spoil is not None:
            self._spoil = partial(fault.spoil, size=scenario.size)
        return False

    async def _refuse(self, refusal: Refusal, shape: str | None) -> None:
        payload = error_payload(code=refusal.code, message=refusal.message, request_id=self._facts.request_id)
        if shape == "result":
            await self._wire.event("result", 200, payload, last=True)
        else:
            await self._wire.event("error", refusal.status, payload, last=True)

    async def _stop(self, audio: bytes, duration: int) -> None:
        recipe = self._song.recipe
        payload = self._facts.stop(Made(duration, recipe.sample_rate, recipe.channels, self._song.lyrics))
        await self._say(last_word(payload, self._scenario, audio), last=True)
        self._billed = duration

    async def _say(self, payload: bytes, *, last: bool = False) -> None:
        spoil, self._spoil = self._spoil, None
        await self._wire.event("result", 200, payload, spoil, last=last)

"""One song given to one client as a single document, which names the file that holds it.

Invariant: nothing is said before the song is whole, and its wait is a fraction of the song's length.
It must not know how songs are made, nor streams.
"""

import math

from aiohttp import web

from gateway.protocol.family import Made
from gateway.upstream.simulator import shapes
from gateway.upstream.simulator.facts import Facts
from gateway.upstream.simulator.faults import FAULTS, UNMADE
from gateway.upstream.simulator.performance import EMPTY_SECONDS, Pace
from gateway.upstream.simulator.scenario import Scenario
from gateway.upstream.simulator.song import Song, SongFailed
from gateway.upstream.simulator.wire import Wire

_SPEED = 8.0  # how much sooner a whole song is ready than a streamed one has been sent


class Document:
    """Gives `song` once. `charged_seconds` is what it costs, from the moment when it has been made."""

    def __init__(self, song: Song, scenario: Scenario, facts: Facts, wire: Wire, pace: Pace) -> None:
        self.charged_seconds = 0.0
        self._song = song
        self._scenario = scenario
        self._facts = facts
        self._wire = wire
        self._pace = pace

    async def give(self) -> web.StreamResponse:
        """From the song's making to the document's end, or half. A client that is gone is not an error."""
        scenario = self._scenario
        try:
            duration = await self._made()
        except SongFailed:
            return shapes.refusal(UNMADE, self._facts.request_id)
        self.charged_seconds = duration
        if scenario.fault == "stall":
            await self._pace.sleep(scenario.silence)
        body = self._body(duration)
        try:
            await self._say(body)
        except (ConnectionError, TimeoutError):
            self._wire.give_up()
        return self._wire.response

    async def _made(self) -> int:
        """Waits for the song, and for the time when it is due; its billed seconds."""
        pace = self._pace
        ready = pace.clock() + pace.wait
        if self._scenario.fault == "empty":
            duration = math.ceil(self._scenario.seconds or EMPTY_SECONDS)
        else:
            await self._song.finish()
            duration = self._song.duration
        if pace.speed:
            ready += duration / (pace.speed * _SPEED)
        await pace.sleep(max(0.0, ready - pace.clock()))
        return duration

    def _body(self, duration: int) -> bytes:
        recipe = self._song.recipe
        made = Made(duration, recipe.sample_rate, recipe.channels, self._song.lyrics)
        payload = self._facts.stop(made, url=self._scenario.fault != "empty")
        body = shapes.last_word(payload, self._scenario)
        spoil = FAULTS[self._scenario.fault].spoil if self._scenario.fault is not None else None
        return body if spoil is None else spoil(body, size=self._scenario.size)

    async def _say(self, body: bytes) -> None:
        scenario, wire = self._scenario, self._wire
        cut = scenario.fault == "cut"
        if not cut or scenario.how != "end":
            # Without a length, an answer that ends too soon looks whole.
            wire.response.content_length = len(body)
        await wire.open()
        await wire.write(body[: len(body) // 2] if cut else body)
        if cut:
            wire.cut(scenario.how)

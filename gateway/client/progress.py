"""Shows how a song is coming in: a picture that is redrawn on a terminal, a line now and then elsewhere.

Invariant: whatever happens, `finish` leaves the terminal as it was, with the cursor shown; colours appear only on a
terminal and never against NO_COLOR. What the picture looks like is terminal.py's.
"""

import asyncio
import os
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from gateway.client.brush import Brush
from gateway.client.event import Interruption
from gateway.client.meter import Meter
from gateway.client.song import Song
from gateway.client.terminal import Canvas, View, clean, flow, picture, plain
from gateway.protocol.events import StreamQueued

REDRAW_SECONDS = 0.125
LINE_SECONDS = 5.0
UNLIMITED = 1_000_000


class Progress:
    """Writes to `err`; `song` is set once there is one. `meter` is looked at where there is a picture."""

    def __init__(
        self,
        err: TextIO,
        now: Callable[[], float],
        environment: Mapping[str, str],
        meter: Meter | None = None,
    ) -> None:
        self.song: Song | None = None
        self._meter = meter
        self._why: str | None = None
        self._queued: StreamQueued | None = None
        self._queued_at = 0.0
        self._err = err
        self._now = now
        self._began = now()
        self.drawing = err.isatty() and environment.get("TERM") != "dumb"
        self.brush = Brush(colour=self.drawing and not environment.get("NO_COLOR"))
        self._canvas = Canvas()

    async def run(self) -> None:
        """Shows it again and again, until it is cancelled."""
        while True:
            if self.drawing:
                self._draw()
                await asyncio.sleep(REDRAW_SECONDS)
            else:
                await asyncio.sleep(LINE_SECONDS)
                self._write(plain(self.view()) + "\n")

    def interrupted(self, interruption: Interruption) -> None:
        """The connection broke: the picture says why while it lasts, a log has a line of it."""
        self._why = interruption.error.message
        if not self.drawing and self.song is not None:
            again = f"Again in {interruption.delay:.1f} s."
            self._write(f"{clean(self.song.id)}: {clean(self._why)} {again}\n")

    def finish(self) -> None:
        """The last picture stays, unless there never was a song."""
        if self.drawing and self.song is not None:
            self._draw()
        elif self.drawing:
            self._write(self._canvas.redraw((), self._width()))
        self._write(self._canvas.leave())

    def explain(self, sentence: str, style: str) -> None:
        """As `say`, for words to read and none to copy: broken between them."""
        width = max(20, self._width() - 2) if self.drawing else UNLIMITED
        for line in textwrap.wrap(clean(sentence), width, break_long_words=False, break_on_hyphens=False):
            self.say(line, style=style)

    def say(self, *parts: str, style: str | None = None) -> None:
        """Words of their own, after `finish`; a terminal that is too narrow gets them on several lines."""
        indent, width = ("  ", self._width() - 2) if self.drawing else ("", UNLIMITED)
        lines = flow([clean(part) for part in parts], width)
        self._write("".join(f"{indent}{self.brush(line, style) if style else line}\n" for line in lines))

    def view(self) -> View:
        """What there is to show now."""
        waited = self._now() - self._began
        song = self.song
        if song is None:
            return View("connecting", waited=waited)
        simulated = song.info is not None and bool(song.info.simulated)
        meter = self._meter
        return View(
            song.state,
            song.title,
            song.id,
            waited,
            simulated,
            song.statistics,
            self._place(song.queued),
            self._why,
            None if meter is None else meter.now,
            () if meter is None else meter.peaks,
        )

    def _place(self, queued: StreamQueued | None) -> tuple[int, float | None] | None:
        """Where it stands, and in how many seconds it is to begin; nothing once that time is over for the first."""
        if queued is not self._queued:
            self._queued, self._queued_at = queued, self._now()
        if queued is None or queued.eta_ms is None:
            return None if queued is None else (queued.position, None)
        left = queued.eta_ms / 1000 - (self._now() - self._queued_at)
        return None if queued.position == 1 and left <= 0 else (queued.position, max(0.0, left))

    def _draw(self) -> None:
        width = self._width()
        self._write(self._canvas.redraw(picture(self.view(), width, self.brush), width))

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns or 80
        except OSError:
            return 80

    def _write(self, text: str) -> None:
        # A terminal that is gone is no reason to stop hearing the song.
        with suppress(OSError):
            self._err.write(text)
            self._err.flush()

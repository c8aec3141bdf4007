"""Shows how a song is coming in: a picture that is redrawn on a terminal, a line now and then elsewhere.

Invariant: whatever happens, `finish` leaves the terminal as it was, with the cursor shown; colours appear only on a
terminal and never against NO_COLOR. What the picture looks like is terminal.py's.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from gateway.client.song import Song
from gateway.client.terminal import Brush, Canvas, View, clean, flow, picture, plain

REDRAW_SECONDS = 0.125
LINE_SECONDS = 5.0
UNLIMITED = 1_000_000


class Progress:
    """Writes to `err`; `song` is set once there is one."""

    def __init__(self, err: TextIO, now: Callable[[], float], environment: Mapping[str, str]) -> None:
        self.song: Song | None = None
        self._err = err
        self._now = now
        self._began = now()
        self._drawing = err.isatty() and environment.get("TERM") != "dumb"
        self.brush = Brush(colour=self._drawing and not environment.get("NO_COLOR"))
        self._canvas = Canvas()

    async def run(self) -> None:
        """Shows it again and again, until it is cancelled."""
        while True:
            if self._drawing:
                self._draw()
                await asyncio.sleep(REDRAW_SECONDS)
            else:
                await asyncio.sleep(LINE_SECONDS)
                self._write(plain(self.view()) + "\n")

    def finish(self) -> None:
        """The last picture stays, unless there never was a song."""
        if self._drawing and self.song is not None:
            self._draw()
        elif self._drawing:
            self._write(self._canvas.redraw((), self._width()))
        self._write(self._canvas.leave())

    def say(self, *parts: str, style: str | None = None) -> None:
        """Words of their own, after `finish`; a terminal that is too narrow gets them on several lines."""
        indent, width = ("  ", self._width() - 2) if self._drawing else ("", UNLIMITED)
        lines = flow([clean(part) for part in parts], width)
        self._write("".join(f"{indent}{self.brush(line, style) if style else line}\n" for line in lines))

    def view(self) -> View:
        """What there is to show now."""
        waited = self._now() - self._began
        song = self.song
        if song is None:
            return View("connecting", waited=waited)
        simulated = song.info is not None and bool(song.info.simulated)
        return View(song.state, song.title, song.id, waited, simulated, song.statistics)

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

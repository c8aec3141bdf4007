"""A song and the bytes of it that exist: made in a worker thread as far as its readers have come, kept, read by many.

A read moves the mark up to which the song is wanted; a task makes pieces until the mark is reached and then ends. So a
song that nobody reads costs nothing, and no reader waits for another. Invariant: bytes once given never change, and at
most one thread works on a song at a time. It must not know requests, pacing or urls.
"""

import asyncio
import math
from concurrent.futures import Executor

from gateway.upstream.simulator.recipe import Recipe
from gateway.upstream.simulator.rendering import Rendering
from transcode.wavheader import wav_header

LEAD_SECONDS = 10.0
PATIENCE = 120.0
"""Seconds a reader waits for the next piece before it gives up."""


class SongFailed(Exception):  # noqa: N818 - what happened, read as `except SongFailed`
    """The song could not be made to its end."""


class Song:
    """One recipe's bytes. `readers` is kept by the book that owns the song."""

    def __init__(self, recipe: Recipe, pool: Executor) -> None:
        self.recipe = recipe
        self.whole = False
        self.readers = 0
        self._pool = pool
        self._rendering = Rendering(recipe)
        self._pieces = self._rendering.pieces()
        self._data = bytearray()
        self._mean = 0.0
        self._wanted = 0
        self._failure: BaseException | None = None
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._data)

    @property
    def working(self) -> bool:
        """Whether a piece of it is being made."""
        return self._task is not None and not self._task.done()

    @property
    def failed(self) -> bool:
        return self._failure is not None

    @property
    def lyrics(self) -> str:
        return self._rendering.lyrics

    @property
    def bytes_per_second(self) -> float:
        """Where sizes vary, the mean of what has been made."""
        return self._mean if self.recipe.vbr and self._mean else self.recipe.bytes_per_second

    @property
    def duration(self) -> int:
        """Whole seconds of what has been made, rounded up: what is billed once the song is whole."""
        return math.ceil(self._rendering.samples / self.recipe.sample_rate)

    async def read(self, position: int, size: int) -> bytes:
        """`size` bytes from `position`, fewer at the end, none past it. Raises SongFailed."""
        end = position + size
        await self._reach(end, ahead=round(LEAD_SECONDS * self.bytes_per_second))
        return bytes(self._data[position:end])

    async def finish(self) -> bytes:
        """The whole song. Raises SongFailed."""
        while not self.whole:
            await self._reach(len(self._data) + 1, ahead=round(LEAD_SECONDS * self.bytes_per_second))
        return bytes(self._data)

    async def close(self) -> None:
        """Stops after the piece that is being made."""
        self._closed = True
        if self._task is not None:
            await self._task

    async def _reach(self, end: int, ahead: int) -> None:
        self._want(end + ahead)
        while len(self._data) < end and not self.whole:
            if self._failure is not None or self._closed:
                raise SongFailed("the song could not be made") from self._failure
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._grown.wait()
            except TimeoutError as late:
                raise SongFailed(f"no new piece within {PATIENCE:.0f} seconds") from late

    def _want(self, until: int) -> None:
        self._wanted = max(self._wanted, until)
        if not (self.whole or self.working):
            self._task = asyncio.create_task(self._make(), name=f"song {self.recipe.key}")

    async def _make(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._data) < self._wanted and not (self.whole or self.failed or self._closed):
            try:
                piece = await loop.run_in_executor(self._pool, next, self._pieces, None)
            except Exception as failure:
                self._failure = failure
            else:
                self._append(piece)
            self._wake()
        self._wake()

    def _wake(self) -> None:
        """Lets everybody who waits look again; those who then wait on do so for an event of their own."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _append(self, piece: bytes | None) -> None:
        if piece is not None:
            self._data += piece
            if self._rendering.samples:
                # Taken here, because no piece is being made at this moment: bytes and samples belong together.
                self._mean = len(self._data) * self.recipe.sample_rate / self._rendering.samples
            return
        self.whole = True
        recipe = self.recipe
        if recipe.format == "wav" and not (recipe.streamed or recipe.wav or recipe.garbage or recipe.noise):
            size = self._rendering.samples * recipe.channels * 2
            header = wav_header(recipe.sample_rate, recipe.channels, size)
            self._data[: len(header)] = header

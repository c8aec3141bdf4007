"""Clips: cut by processes of their own, a few at a time, because the library that cuts holds its interpreter for long.

Invariant: at most `clip_workers` processes, started when they are first needed, each with one clip at a time; a place
is given back however a clip ends. A process that dies, hangs, or works for somebody who is gone is killed and not used
again. It must not know songs beyond their bytes, nor who asks.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec

from gateway.config.schema import Transcode
from gateway.encoding.environment import of_interpreter
from gateway.errors import RequestError, ServiceError
from gateway.log import event
from transcode.clipping import LENGTHS, Answer, Order, packed, unpacked
from transcode.edit import Edit
from transcode.errors import ClipError, UnsupportedFormat
from transcode.formats import Format
from transcode.spec import Wish, check

logger = logging.getLogger("wavegate.encoding")

COMMAND: Final = (sys.executable, "-P", "-m", "transcode.clipping")  # the working directory is no place to import from
# The longest clip takes a free processor 30 s; several wait for one another.
TIMEOUT: Final = 120.0
RETRY_AFTER: Final = 5.0
_TRIES: Final = 2
_END_SECONDS: Final = 5.0
_PIECE: Final = 256 << 10
_HEAD_MOST: Final = 64 << 10
_FILE_MOST: Final = 1 << 30


class ClipPool:
    """Cuts clips between `async with` and its end. `timeout` is the seconds from an order to its clip.

    `command` starts a process that does what `transcode.clipping` does.
    """

    def __init__(self, config: Transcode, *, timeout: float = TIMEOUT, command: Sequence[str] = COMMAND) -> None:
        self._most = config.max_clips
        self._longest = config.max_clip_seconds
        self._timeout = timeout
        self._command = command
        self._room = asyncio.Semaphore(config.clip_workers)
        self._idle: list[_Cutter] = []
        self._cutters: set[_Cutter] = set()
        self._places = 0
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        for cutter in self._cutters:
            cutter.kill()
        self._idle.clear()
        await asyncio.gather(*(cutter.ended() for cutter in self._cutters))

    @property
    def pending(self) -> int:
        """Clips that wait or are being cut."""
        return self._places

    async def cut(self, song: bytes, edit: Edit, form: Format, wish: Wish) -> bytes:
        """A whole file of `form`. Cancelling it ends the work, too.

        Raises RequestError `invalid_input` for what no clip can be, with the field of `Edit` as its param,
        `unsupported_format` for the wish; ServiceError `overloaded` without room, or without a clip in time,
        `transcoding_failed` for a song that cannot be read, `going_away` at the end.
        """
        self.check(edit, form, wish)
        self._places += 1
        try:
            async with asyncio.timeout(self._timeout):
                answer, file = await self._answered(Order(edit, form.name, wish, self._longest), song)
        except TimeoutError:
            event(logger, "clip.timed_out", limit_seconds=self._timeout)
            sentence = "The clip was not cut in time; try again later, or ask for a shorter one."
            raise ServiceError("overloaded", sentence, retry_after=RETRY_AFTER) from None
        finally:
            self._places -= 1
        if answer.problem is None:
            return file
        if answer.problem == "failed":
            event(logger, "clip.failed", format=form.name, reason=answer.message)
            raise ServiceError("transcoding_failed", "This song cannot be cut.")
        raise _refusal(answer.field, answer.message, form=answer.problem == "format")

    def check(self, edit: Edit, form: Format, wish: Wish) -> None:
        """Whether this can be cut of some song, and now. Raises as `cut` does."""
        try:
            edit.check(self._longest)
            check(form, wish)
        except (ClipError, UnsupportedFormat) as mistake:
            raise _refusal(mistake.field, str(mistake), form=isinstance(mistake, UnsupportedFormat)) from None
        if self._places >= self._most:
            raise ServiceError("overloaded", "Too many clips are being cut; try again soon.", retry_after=RETRY_AFTER)

    async def _answered(self, order: Order, song: bytes) -> tuple[Answer, bytes]:
        async with self._room:
            for _ in range(_TRIES):
                if not self._open:
                    raise ServiceError("going_away", "The gateway is going away; ask another one, or again later.")
                cutter = self._cutter()
                try:
                    answer = await cutter.cut(order, song)
                except (OSError, EOFError, msgspec.DecodeError) as error:
                    event(logger, "clip.process_lost", reason=repr(error))
                    self._lose(cutter)
                except BaseException:
                    self._lose(cutter)
                    raise
                else:
                    self._idle.append(cutter)
                    return answer
        raise ServiceError("transcoding_failed", "The clip could not be cut; try again.", retry_after=RETRY_AFTER)

    def _cutter(self) -> "_Cutter":
        while self._idle:
            cutter = self._idle.pop()
            if not cutter.gone:  # it has died meanwhile
                return cutter
        cutter = _Cutter(self._command)
        self._cutters.add(cutter)
        return cutter

    def _lose(self, cutter: "_Cutter") -> None:
        """Kills it. It is waited for at the end at the latest; the loop does it by itself before."""
        cutter.kill()
        self._cutters = {other for other in self._cutters if other is cutter or not other.gone}


class _Cutter:
    """One process."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
        self._command = command
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    @property
    def gone(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def cut(self, order: Order, song: bytes) -> tuple[Answer, bytes]:
        """Raises OSError when there can be no process, EOFError when it ends, DecodeError when it talks nonsense."""
        if self._process is None:
            # A session of its own, so that Ctrl-C in a terminal is for the gateway alone.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=of_interpreter(self._environ),
                start_new_session=True,
            )
            if self._killed:
                self.kill()
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        target.write(packed(order, song))
        # Piece by piece: what is too much for the pipe would be copied in one go, 38 MB of WAV in 10 ms.
        for at in range(0, len(song), _PIECE):
            target.write(memoryview(song)[at : at + _PIECE])
            await target.drain()
        size, length = LENGTHS.unpack(await source.readexactly(LENGTHS.size))
        if size > _HEAD_MOST or length > _FILE_MOST:
            raise msgspec.DecodeError(f"an answer of {size} and {length} bytes")
        answer = unpacked(await source.readexactly(size), Answer)
        return answer, await source.readexactly(length)

    def kill(self) -> None:
        """At once, whatever it is doing, even if it is only about to start."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> None:
        """Until it is gone, once it was killed."""
        if self._process is not None:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()


def _refusal(field: str, sentence: str, *, form: bool) -> RequestError:
    return RequestError("unsupported_format" if form else "invalid_input", sentence, param=field)

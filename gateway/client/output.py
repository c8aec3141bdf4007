"""Where `wavegate listen` puts the audio: a file, or standard output for a player behind a pipe.

Invariant: the loop never waits for a disk or a pipe: one thread writes, opens and closes, in order, so that what was
written before a Ctrl-C is on the disk when the file is closed. It must not know what the bytes are.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

CLOSE_SECONDS = 5.0


class Output:
    """`path` is created with the first write; without one, `stream` is written to and left open."""

    def __init__(self, path: Path | None, stream: BinaryIO | None = None) -> None:
        self.path = path
        self.bytes = 0
        self._stream = stream
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wavegate-output")

    async def write(self, data: bytes, then: Callable[[bytes], None] | None = None) -> None:
        """Writes all of it, and then looks at it with `then`, in the same thread.

        Raises OSError, BrokenPipeError when nobody reads standard output any more.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, data, then)

    async def close(self) -> None:
        """Closes the file. A pipe that takes nothing is not waited for longer than CLOSE_SECONDS."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        except TimeoutError:
            pass
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _write(self, data: bytes, then: Callable[[bytes], None] | None) -> None:
        if self._stream is None:
            assert self.path is not None, "an output has a path or a stream"
            self._stream = self.path.open("wb")
        try:
            self._stream.write(data)
            # At once: players read along, from the pipe as from the growing file.
            self._stream.flush()
        except BrokenPipeError:
            _abandon(self._stream)
            raise
        self.bytes += len(data)
        if then is not None:
            then(data)

    def _close(self) -> None:
        if self.path is not None and self._stream is not None:
            self._stream.close()


def _abandon(stream: BinaryIO) -> None:
    """Python flushes standard output at exit and would complain about the broken pipe once more."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())

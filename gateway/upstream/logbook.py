"""The directory of recordings: files that appear under their name once they are whole, oldest removed for new ones.

Invariant: all of it never takes more than `max_bytes`, and files are for their owner alone. What is given up is gone;
what a process had no time to give up is removed some day as the oldest.
Everything here blocks, and belongs to one thread. It must not know what a line says.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SUFFIX = ".flight.jsonl"
_UNFINISHED = ".flight.part"


class Page:
    """A recording that is being written. Every method but `discard` raises OSError when the disk will not."""

    def __init__(self, book: "Logbook", path: Path) -> None:
        self.path = path
        self._book = book
        # Unbuffered, so that a full disk is noticed at the line that fills it.
        self._file = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115 - closed by the two ends of a page

    def write(self, line: bytes) -> None:
        """Appends a line, with its line end."""
        self._book.make_room(len(line))
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def finish(self, name: str) -> None:
        """The recording is whole: from now on it stands under its name."""
        self._file.close()
        self.path.rename(self.path.with_name(name + SUFFIX))
        self._book.forget(self)

    def discard(self) -> None:
        """The recording is given up."""
        self._book.forget(self)
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink()


class Logbook:
    """Recordings in `directory`, which is made with the first of them."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._size = 0
        self._open: set[Page] = set()

    def open(self, name: str) -> Page:
        """A new page, under a name of its own until it is finished. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prune()
        page = Page(self, self._directory / (name + _UNFINISHED))
        self._open.add(page)
        return page

    def make_room(self, size: int) -> None:
        """Counts so many bytes more, and removes the oldest recordings for them. Raises OSError if that does not do."""
        self._size += size
        if self._size > self._max_bytes:
            self._prune(size)
        if self._size > self._max_bytes:
            raise OSError(errno.EDQUOT, "the recordings that are being written fill the room there is")

    def forget(self, page: Page) -> None:
        """The page is nobody's any more."""
        self._open.discard(page)

    def close(self) -> None:
        """Gives up what is not finished."""
        for page in list(self._open):
            page.discard()

    def _prune(self, size: int = 0) -> None:
        """Measures the directory, and removes the oldest files until `size` bytes more have room."""
        writing = {page.path for page in self._open}
        found = sorted(self._files())
        self._size = size + sum(length for _, length, _ in found)
        # Names begin with the time.
        for _, length, path in found:
            if self._size <= self._max_bytes:
                return
            if path not in writing:
                path.unlink(missing_ok=True)
                self._size -= length

    def _files(self) -> Iterator[tuple[str, int, Path]]:
        for path in self._directory.iterdir():
            if path.name.endswith((SUFFIX, _UNFINISHED)):
                # Another process may share the directory and remove things from it.
                with suppress(FileNotFoundError):
                    yield path.name, path.stat().st_size, path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

"""The writer: takes records without waiting, and writes their lines from a thread of its own.

Invariant: no caller ever waits for whoever reads the log. What they do not take waits, up to a limit; beyond it lines
are dropped and counted, and the count is the first line once they read again. A stream that is gone costs its lines and
nothing else; nothing is raised, and the end of the program is not held up. It must not know what a record says.
"""

import io
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Protocol, TextIO

from gateway.config.secret import Secret
from gateway.log.ids import NOTHING, Bound, bound
from gateway.log.repetition import Repetition

# Records that may wait for whoever reads: some ten megabytes.
MOST_WAITING = 10_000
# How long the end waits for a reader that takes nothing.
PATIENCE_SECONDS = 1.0
# How long the end waits for one that does take something, but is slow.
LONGEST_SECONDS = 5.0

_Item = tuple[logging.LogRecord, Bound]


class _Word(Enum):
    """What is said to the thread beside records: to look when it has to wake up, and to end."""

    LOOK = "look"
    END = "end"


class Counts(Protocol):
    """What becomes of the records is told to this; the metrics are one."""

    def log_line(self, level: str) -> None:
        """A record is to be written."""
        ...

    def log_lines_suppressed(self, lines: int) -> None:
        """Records were held back as repetitions, and will be counted in a summary."""
        ...

    def log_lines_dropped(self, lines: int) -> None:
        """Records were lost, for nobody takes what waits."""
        ...


class Nobody:
    """Counts nothing."""

    def log_line(self, level: str) -> None:
        """Nothing."""

    def log_lines_suppressed(self, lines: int) -> None:
        """Nothing."""

    def log_lines_dropped(self, lines: int) -> None:
        """Nothing."""


class Writer(logging.Handler):
    """A handler for `stream`, whose lines `line_of` makes; `watch` is told what becomes of records.

    `conceal` tells whoever makes the lines of secrets that are in none of them from then on.
    """

    def __init__(
        self,
        stream: TextIO,
        line_of: Callable[[logging.LogRecord, Bound], str],
        *,
        repetition: Repetition | None = None,
        most: int = MOST_WAITING,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.watch: Counts = Nobody()
        self.conceal: Callable[[Iterable[Secret]], None] = lambda secrets: None
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._line_of = line_of
        self.repetition = Repetition() if repetition is None else repetition
        self._most = most
        self._now = now
        # It takes no lock of ours: a record may come from a signal handler, or while another one is being put.
        self._waiting: queue.SimpleQueue[_Item | _Word] = queue.SimpleQueue()
        self._given = 0
        self._done = 0
        self._dropped = 0
        self._told_dropped = 0
        self._thread: threading.Thread | None = None
        self._over = False
        self._endless = False  # the writer waits for a record, however long that takes

    @property
    def waiting(self) -> int:
        """Records that were taken and are not written yet."""
        return self._given - self._done

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record, or counts it."""
        if self._over:
            return
        try:
            now = self._now()
            passes = self.repetition.passes(record, now)
            for summary in self.repetition.due(now):
                self._put(summary)
            if passes:
                self._put(record)
            else:
                self._held()
        except Exception:  # noqa: S110 - the default prints the record's raw arguments, secrets among them
            pass

    def _held(self) -> None:
        self.watch.log_lines_suppressed(1)
        if self._endless:
            # The writer sleeps until something comes; now it has a summary to write in a while.
            self._endless = False
            self._waiting.put(_Word.LOOK)

    def _put(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() >= self._most:
            self._dropped += 1
            self.watch.log_lines_dropped(1)
            return
        self.watch.log_line(record.levelname.lower())
        self._given += 1
        self._waiting.put((record, bound()))
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log writer", daemon=True)
            self._thread = thread
            thread.start()

    def flush(self) -> None:
        """Waits until all is written that was taken so far: not long for a reader that takes nothing."""
        until, deadline = self._given, self._now() + LONGEST_SECONDS
        seen, patience = self._done, self._now() + PATIENCE_SECONDS
        while self._done < until and self._thread is not None and self._thread.is_alive():
            time.sleep(0.001)
            if self._done > seen:
                seen, patience = self._done, self._now() + PATIENCE_SECONDS
            if self._now() >= min(patience, deadline):
                return

    def close(self) -> None:
        """Writes what waits, summaries of what was held back too, if somebody takes it."""
        if not self._over:
            for summary in self.repetition.due(float("inf")):
                self._put(summary)
            self._over = True
            self.flush()
            self._waiting.put(_Word.END)
        super().close()

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            # Said first, so that whoever holds a record back from now on knows.
            self._endless = True
            wait = self.repetition.wait(self._now())
            self._endless = wait is None
            try:
                item = self._waiting.get(timeout=wait)
            except queue.Empty:
                for summary in self.repetition.due(self._now()):
                    self._put(summary)
                continue
            if item is _Word.END:
                return
            if item is _Word.LOOK:
                continue
            # One that cannot be written is lost, and there is nowhere to say so.
            with suppress(Exception):
                self._write(*item)
            self._done += 1

    def _write(self, record: logging.LogRecord, known: Bound) -> None:
        lost = self._dropped - self._told_dropped
        if lost:
            said = logging.LogRecord("wavegate.log", logging.WARNING, __file__, 0, "log.dropped", (), None)
            said.__dict__["fields"] = {"lines": lost}
            self._out(self._line_of(said, NOTHING))
            self._told_dropped += lost
        self._out(self._line_of(record, known))

    def _out(self, line: str) -> None:
        if self._descriptor is None:
            self._stream.write(line + "\n")
            self._stream.flush()
            return
        # Past Python's buffer: a thread that waits inside of that at the end of the program would be fatal to it.
        data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Somebody who shares it has set it so.
                select.select([], [self._descriptor], [])


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, AttributeError, ValueError):
        return None

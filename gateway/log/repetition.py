"""Repetitions: what is said again and again is written a few times, then counted, and the count is written.

Invariant: the first of a kind is always written, and nothing that is held back is lost: the summary tells how many they
were. There is a bounded number of kinds, whatever an attacker thinks of; those beyond it count as one for each event.
No timer: whoever writes asks when the next summary is due. It must not know how a line looks.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from gateway.log.names import EVENTS, Event

# So many of a kind are written in so many seconds.
BURST = 10
WINDOW_SECONDS = 10.0
MOST_KINDS = 1024

_LIBRARY = Event(logging.WARNING, "What a library says.")


@dataclass(slots=True)
class _Window:
    """Of one kind, since `since`: `written` and held back; `last` is the newest that was held back."""

    since: float
    written: int = 0
    held: int = 0
    last: logging.LogRecord | None = None


class Repetition:
    """Asked for every record, from any thread."""

    def __init__(self, burst: int = BURST, seconds: float = WINDOW_SECONDS, most: int = MOST_KINDS) -> None:
        self._burst = burst
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        # In the order in which their windows began.
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()
        self.held = 0

    @property
    def kinds(self) -> int:
        """How many are remembered."""
        return len(self._windows)

    def passes(self, record: logging.LogRecord, now: float) -> bool:
        """Whether this one is written; else it is counted."""
        row = EVENTS.get(record.msg, _LIBRARY) if isinstance(record.msg, str) else _LIBRARY
        if row.key is None:
            return True
        kind = _kind(record, row.key)
        with self._lock:
            window = self._windows.get(kind)
            if window is None and len(self._windows) >= self._most:
                kind = (record.name, record.levelno, record.msg if row is not _LIBRARY else None)
                window = self._windows.get(kind)
            if window is None or (now - window.since >= self._seconds and not window.held):
                self._windows.pop(kind, None)
                window = self._windows[kind] = _Window(now)
            if window.written < self._burst and not window.held:
                window.written += 1
                return True
            window.held += 1
            window.last = record
            self.held += 1
            return False

    def due(self, now: float) -> list[logging.LogRecord]:
        """Summaries of windows that are over: the last that was held back, with `repeated` and `within_seconds`."""
        found = []
        with self._lock:
            while self._windows:
                kind, window = next(iter(self._windows.items()))
                if now - window.since < self._seconds:
                    break
                del self._windows[kind]
                if window.last is not None:
                    found.append(_summary(window.last, window.held, now - window.since))
        return found

    def wait(self, now: float) -> float | None:
        """In how many seconds something is due; None if nothing is held back."""
        with self._lock:
            for window in self._windows.values():
                if window.held:
                    return max(0.0, window.since + self._seconds - now)
        return None


def _kind(record: logging.LogRecord, key: tuple[str, ...]) -> Hashable:
    fields: dict[str, Any] = getattr(record, "fields", None) or {}
    broke = record.exc_info[0] if record.exc_info else None
    try:
        return (record.name, record.levelno, hash(record.msg), broke, tuple([str(fields.get(name)) for name in key]))
    except Exception:  # a value that cannot be shown tells nothing apart
        return (record.name, record.levelno, broke)


def _summary(record: logging.LogRecord, held: int, seconds: float) -> logging.LogRecord:
    """As the last one said it, without its traceback, which the first of them had."""
    made = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, record.msg, record.args, None)
    fields = getattr(record, "fields", None) or {}
    made.__dict__["fields"] = {**fields, "repeated": held, "within_seconds": round(seconds, 1)}
    return made

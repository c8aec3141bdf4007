"""How a record looks: one JSON object a line for machines, one aligned entry for people.

Invariant: a record is one entry whatever stands in it (control characters are escaped, a traceback is indented), and no
known secret, nor what looks like one, nor a prompt is in it. Making a line never raises.
It must not know where lines go, nor what the events mean.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from gateway.config.secret import HIDDEN, Secret, redact
from gateway.log.events import Words
from gateway.log.human import aligned, shown
from gateway.log.ids import NOTHING, Bound

# Characters that move the cursor, end a line, reorder or hide text, or cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_DEEPEST = 4
# A line of somebody's words that is shorter is not sought for by itself.
_SHORTEST_LINE = 8
# The errors in here quote the line of a request that could not be read, whatever credential stands in it.
_QUOTES = "aiohttp.http_exceptions"
# Secrets that came after the start: a year of a new key each day.
_MOST_CONCEALED = 400


class Cleaner:
    """What both forms share: the parts of a record as text without secrets. `prompts` shows what people wrote."""

    def __init__(self, secrets: Collection[Secret] = (), *, prompts: bool = False) -> None:
        self._secrets = secrets
        self._concealed: tuple[Secret, ...] = ()
        self._prompts = prompts

    def conceal(self, secrets: Iterable[Secret]) -> None:
        """From now on these are hidden, too."""
        self._concealed = tuple(dict.fromkeys((*self._concealed, *secrets)))[-_MOST_CONCEALED:]

    def parts(self, record: logging.LogRecord, known: Bound) -> tuple[str, dict[str, Any], dict[str, Any], str]:
        """The event, its own fields, those that are bound beside them, and the traceback: all of it clean."""
        words = () if self._prompts else known.words
        # A copy, since another thread may add a secret meanwhile.
        secrets = (*self._secrets, *self._concealed)
        texts: list[str] = []

        def noted(text: str) -> str:
            texts.append(text)
            return text

        def clean(text: str) -> str:
            return without_words(redact(text, secrets), words)

        # Nearly always there is nothing to hide, and one look at it all tells: piece by piece took ten times longer.
        raw = self._taken(record, known, noted)
        together = "\n".join(texts)
        return raw if clean(together) == together else self._taken(record, known, clean)

    def _taken(
        self, record: logging.LogRecord, known: Bound, clean: Callable[[str], str]
    ) -> tuple[str, dict[str, Any], dict[str, Any], str]:
        given = getattr(record, "fields", None) or {}
        own = {clean(text_of(name)): self._plain(value, clean) for name, value in given.items()}
        beside = {name: clean(value) for name, value in known.ids.items() if own.get(name) is None}
        return clean(_message(record)), own, beside, clean(_trace(record))

    def _plain(self, value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
        """`value` in the types of JSON, its texts cleaned."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if abs(value) < float("inf") else str(value)
        if isinstance(value, Words):
            text = value.shown(openly=self._prompts)
            return None if text is None else clean(text)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {clean(text_of(name)): self._plain(item, clean, depth + 1) for name, item in value.items()}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item, clean, depth + 1) for item in value]
        return clean(text_of(value))


class JsonForm(Cleaner):
    """One JSON object a line: time (UTC), level, logger, event, the fields, and exception where there is one.

    A field whose name is taken gets an underscore behind it. All beyond ASCII is escaped.
    """

    def line(self, record: logging.LogRecord, known: Bound = NOTHING) -> str:
        event, own, beside, trace = self.parts(record, known)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        if trace:
            entry["exception"] = trace
        for name, value in {**own, **beside}.items():
            entry[f"{name}_" if name in entry else name] = value
        return json.dumps(entry)


class ConsoleForm(Cleaner):
    """One entry for people: time, level, event, fields; what has no value is left out.

    Times are in `zone`, None for the machine's own. `columns` tells how wide the terminal is, 0 for no terminal.
    """

    def __init__(
        self,
        secrets: Collection[Secret] = (),
        *,
        prompts: bool = False,
        colour: bool = False,
        zone: tzinfo | None = None,
        columns: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(secrets, prompts=prompts)
        self._colour = colour
        self._zone = zone
        self._columns = columns

    def line(self, record: logging.LogRecord, known: Bound = NOTHING) -> str:
        event, own, beside, trace = self.parts(record, known)
        # Whoever looks into trouble needs all ids; usual news says itself what it is about.
        if record.levelno >= logging.WARNING:
            own |= beside
        if not record.name.startswith("wavegate"):
            own["logger"] = record.name
        fields = [(escaped(name), escaped(value)) for name, value in shown(own)]
        time = datetime.fromtimestamp(record.created, self._zone).isoformat(" ", "milliseconds")[11:23]
        lines = aligned(time, record.levelno, escaped(event), fields, columns=self._columns(), colour=self._colour)
        # Behind a margin, a line of an exception's message cannot pass for an entry of its own.
        lines += [f"    | {escaped(line)}" for line in trace.split("\n") if line]
        return "\n".join(lines)


def without_words(text: str, words: tuple[str, ...]) -> str:
    """`text` without what somebody wrote: as a whole, line by line, and as `repr` and JSON write it."""
    for form in _forms(words) if words else ():
        text = text.replace(form, HIDDEN)
    return text


@lru_cache(maxsize=64)  # a song has some lines in the log, and its words are kept for as long as that anyway
def _forms(words: tuple[str, ...]) -> tuple[str, ...]:
    forms = set()
    for word in words:
        for piece in (word, *[line for line in word.splitlines() if len(line.strip()) >= _SHORTEST_LINE]):
            forms |= {piece, piece.strip(), repr(piece)[1:-1], json.dumps(piece)[1:-1]}
    return tuple(sorted(forms - {""}, key=len, reverse=True))


def text_of(value: Any) -> str:
    """Any value as text."""
    try:
        return str(value)
    except Exception as error:  # a record must not be lost for one value that cannot be shown
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def escaped(text: str) -> str:
    """`text` on one line, and without what could make it look like something else."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a wrong format string must not cost the message
        return f"{record.msg} {text_of(record.args)}"


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        kind = record.exc_info[0]
        quotes = kind.__module__ == _QUOTES
        parts.append(kind.__qualname__ if quotes else logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)

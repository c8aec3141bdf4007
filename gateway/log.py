"""How the gateway's log is written: one handler for `wavegate.*`, asyncio and aiohttp, on one stream.

A record is an event with fields, `extra={"fields": {...}}`; people get aligned lines, machines one JSON object a line.
Invariant: a record is one entry whatever stands in it (control characters are escaped, a traceback is indented), and
no known secret, nor what looks like one, is ever written. Writing never raises.
It must not know what the events mean.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, TextIO

from gateway.config.secret import Secret, redact

# Loggers of the libraries below us: their warnings belong into the same log, their chatter does not.
_LIBRARIES = ("asyncio", "aiohttp")

# Characters that move the cursor, end a line, reorder or hide text, or cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
# A value with nothing in it that could be taken for the end of the value, or for another field.
_BARE = re.compile(r"[^\s\"'=\\]+")

_EVENT_WIDTH = 24
_LEVEL_WIDTH = len("warning")
_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_DEEPEST = 4


def event(
    logger: logging.Logger, name: str, /, *, level: int = logging.INFO, exc_info: bool = False, **fields: Any
) -> None:
    """Logs that `name` (such as `stream.started`) happened, with what one needs to know about it as fields."""
    # The place that handlers may show is our caller's.
    logger.log(level, name, extra={"fields": fields}, exc_info=exc_info, stacklevel=2)


def configure(
    level: str,
    form: Literal["console", "json"],
    stream: TextIO | None = None,
    *,
    secrets: Collection[Secret] = (),
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Sends `wavegate.*` from `level` (debug, info, warning, error) on to `stream`, standard error by default.

    `secrets` is looked at for every record, so a secret that is added to it later is hidden from then on. Called
    again, it replaces what it set up before. Raises KeyError for any other level.
    """
    stream = sys.stderr if stream is None else stream
    formatter: logging.Formatter
    if form == "json":
        formatter = JsonFormatter(secrets)
    else:
        colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        formatter = ConsoleFormatter(secrets, colour=colour)
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    for name in ("wavegate", *_LIBRARIES):
        logger = logging.getLogger(name)
        logger.handlers = [other for other in logger.handlers if not isinstance(other, _Handler)] + [handler]
        logger.setLevel(threshold if name == "wavegate" else max(threshold, logging.WARNING))
        logger.propagate = False


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler that loses what it cannot write."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Nothing: the default prints the record's raw arguments, secrets among them."""


class _Cleaner(logging.Formatter):
    """What both forms share: the parts of a record as text without secrets."""

    def __init__(self, secrets: Collection[Secret]) -> None:
        super().__init__()
        self._secrets = secrets

    def clean(self, text: str) -> str:
        # A copy, since another thread may add a secret meanwhile.
        return redact(text, tuple(self._secrets))

    def message(self, record: logging.LogRecord) -> str:
        try:
            text = record.getMessage()
        except Exception:  # a wrong format string must not cost the message
            text = f"{record.msg} {_text(record.args)}"
        return self.clean(text)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        given = getattr(record, "fields", None)
        return {self.clean(_text(name)): self.plain(value) for name, value in given.items()} if given else {}

    def plain(self, value: Any, depth: int = 0) -> Any:
        """`value` in the types of JSON, its texts cleaned."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if abs(value) < float("inf") else str(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {self.clean(_text(name)): self.plain(item, depth + 1) for name, item in value.items()}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item, depth + 1) for item in value]
        return self.clean(_text(value))

    def trace(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return self.clean("\n".join(parts))


class ConsoleFormatter(_Cleaner):
    """One line for people: time, level, event, fields. Times are in `zone`, None for the machine's own."""

    def __init__(self, secrets: Collection[Secret] = (), *, colour: bool = False, zone: tzinfo | None = None) -> None:
        super().__init__(secrets)
        self._colour = colour
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, self._zone).isoformat(" ", "milliseconds")[11:23]
        level = record.levelname.lower()
        name = _escape(self.message(record))
        found = self.fields(record)
        if record.name.split(".")[0] in _LIBRARIES:
            found["logger"] = record.name
        fields = " ".join(f"{_escape(key)}={_value(value)}" for key, value in found.items())
        colour = _COLOURS.get(level) if self._colour else None
        shown = f"{level:<{_LEVEL_WIDTH}}"
        head = f"{time} {_paint(shown, colour)}  {_paint(f'{name:<{_EVENT_WIDTH}}' if fields else name, colour)}"
        lines = [f"{head}  {fields}" if fields else head]
        # Behind a margin, a line of an exception's message cannot pass for an entry of its own.
        lines += [f"    | {_escape(line)}" for line in self.trace(record).split("\n") if line]
        return "\n".join(lines)


class JsonFormatter(_Cleaner):
    """One JSON object a line: time (UTC), level, logger, event, the fields, and exception where there is one.

    A field whose name is taken gets an underscore behind it. All beyond ASCII is escaped.
    """

    def __init__(self, secrets: Collection[Secret] = ()) -> None:
        super().__init__(secrets)

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self.message(record),
        }
        trace = self.trace(record)
        if trace:
            entry["exception"] = trace
        for name, value in self.fields(record).items():
            entry[f"{name}_" if name in entry else name] = value
        return json.dumps(entry)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # a record must not be lost for one value that cannot be shown
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _escape(text: str) -> str:
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _value(value: Any) -> str:
    """A field's value on the console: bare where that is clear, otherwise as JSON writes it, Chinese left readable."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return _escape(value)
    if isinstance(value, float):
        return str(round(value, 6))
    return _escape(json.dumps(value, ensure_ascii=False))


def _paint(text: str, colour: str | None) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text

"""What people see of a line: fields in words they say, in columns, and in colours that help.

Invariant: nothing is hidden but what has no value; an id is cut short where its beginning names it well enough, and
stands whole in the JSON form. It must not know records, secrets or where a line goes.
"""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error"}

# A value with nothing in it that could be taken for the end of the value, or for another field.
_BARE = re.compile(r"[^\s\"'=\\]+")
# Such words stand in a list without quotes.
_LISTED = re.compile(r"[\w.-]+")
_EVENT_WIDTH = 20
_LEVEL_WIDTH = 5
# Ids of ours and of the provider begin with what tells them apart: `st_` and as many digits, a third of a UUID.
_ID_CHARACTERS = 11
_SHORT = {"stream_id", "session_id", "request_id", "provider_request_id", "trace_id", "span_id"}
# Narrower, and what does not fit stands below the event instead of below the fields.
_WIDE = 110
_DIM, _KEY, _BOLD = "2", "36", "1"
_COLOURS = {"debug": "2", "info": "32", "warn": "33", "error": "31"}
# Values that say at once how it went.
_MOODS = {"completed": "32", "failed": "31", "cancelled": "33"}
_PREFIXES = ("", "k", "M", "G", "T")


def shown(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as people read them, units with the values."""
    found = []
    for name, value in fields.items():
        if value is None:
            continue
        if name in _SHORT and isinstance(value, str):
            short = value if len(value) <= _ID_CHARACTERS + 2 else f"{value[:_ID_CHARACTERS]}…"
            found.append((name.removesuffix("_id"), _value(short)))
        elif name.endswith("_seconds") and isinstance(value, int | float) and not isinstance(value, bool):
            found.append((name.removesuffix("_seconds"), duration(value)))
        elif (name == "bytes" or name.endswith("_bytes")) and isinstance(value, int):
            found.append((name.removesuffix("_bytes") if name != "bytes" else "size", size(value)))
        else:
            found.append((name, _value(value)))
    return found


def duration(seconds: float) -> str:
    """`0.8ms`, `87ms`, `1.24s`, `3m12s`, `2h05m`, `3d04h`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms" if seconds else "0s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, below, part, width in ((60, 3600, ("m", "s"), 1), (3600, 86400, ("h", "m"), 60)):
        if whole < below:
            return f"{whole // unit}{part[0]}{whole % unit // width:02}{part[1]}"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(octets: int) -> str:
    """`0B`, `812B`, `64.0kB`, `3.2MB`: by thousands."""
    value, prefix = float(octets), 0
    while abs(value) >= 999.95 and prefix < len(_PREFIXES) - 1:
        value, prefix = value / 1000, prefix + 1
    return f"{octets}B" if prefix == 0 else f"{value:.1f}{_PREFIXES[prefix]}B"


def aligned(
    time: str, level: int, event: str, fields: list[tuple[str, str]], *, columns: int, colour: bool
) -> list[str]:
    """The lines of one entry: as many as a terminal of so many columns needs, one where there is none (0)."""
    word = LEVELS.get(level, logging.getLevelName(level).lower())
    tint = _COLOURS.get(word) if colour else None
    strong = _BOLD if colour and level >= logging.INFO else tint
    head = f"{_paint(time, _DIM if colour else None)} {_paint(f'{word:<{_LEVEL_WIDTH}}', tint)} "
    begin = len(time) + 1 + _LEVEL_WIDTH + 1
    if not fields:
        return [head + _paint(event, strong)]
    name = f"{event:<{_EVENT_WIDTH}}"
    margin = begin + len(name) + 1 if columns >= _WIDE else begin + 2
    lines, line, at = [], head + _paint(name, strong), begin + len(name)
    for key, value in fields:
        width = len(key) + 1 + len(value)
        if columns and at + 1 + width > columns and at > margin:
            lines.append(line.rstrip())
            line, at = " " * (margin - 1), margin - 1
        mood = _MOODS.get(value) if colour and key in ("status", "how") else None
        line += f" {_paint(f'{key}=', _KEY if colour else None)}{_paint(value, mood)}"
        at += 1 + width
    return [*lines, line]


def _value(value: Any) -> str:
    """Bare where that is clear, otherwise as JSON writes it, Chinese left readable."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    if isinstance(value, float):
        return str(round(value, 6))
    if isinstance(value, list) and value and all(isinstance(one, str) and _LISTED.fullmatch(one) for one in value):
        return ",".join(value)
    return json.dumps(value, ensure_ascii=False)


def _paint(text: str, colour: str | None) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text

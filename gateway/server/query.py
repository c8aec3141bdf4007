"""What stands behind the question mark of an audio url: numbers, and the format that is asked for.

Invariant: whatever a stranger writes there is a value or a RequestError that names it.
It must not know streams.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from gateway.errors import RequestError
from gateway.protocol.messages import FormatSpec

# Python reads no number of thousands of digits, and nobody means one.
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,6})?", re.ASCII)

_NAMES: dict[type, str] = {int: "a whole number", float: "a number"}

Number = TypeVar("Number", int, float)


def number(query: Mapping[str, str], name: str, kind: type[Number]) -> Number | None:
    """The number under this name, None where there is none. Raises RequestError `invalid_request`."""
    text = query.get(name)
    if text is None:
        return None
    try:
        if _NUMBER.fullmatch(text):
            return kind(text)
    except ValueError:
        pass
    raise RequestError("invalid_request", f"{name} must be {_NAMES[kind]}.", param=name)


def asked_format(extension: str, query: Mapping[str, str]) -> FormatSpec:
    """What is asked for: the extension, and `rate`, `channels`, `bitrate`, `loudness`. Raises RequestError."""
    return FormatSpec(
        extension,
        number(query, "rate", int),
        number(query, "channels", int),
        number(query, "bitrate", int),
        number(query, "loudness", float),
    )

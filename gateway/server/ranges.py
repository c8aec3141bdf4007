"""Which bytes of a song an HTTP request wants, and which of them it can have.

Invariant: a range is answered only where byte N is the same for everybody; what is no range of ours is ignored, as HTTP
has it, and the answer is everything. A song that is still made has no last byte to name: who wants it from byte N on is
promised a very large last byte of an unknown length, as RFC 8673 has it for live content, and is followed to the end.
It must not know sockets or channels.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, Never

from gateway.errors import RequestError

# The largest whole number that every JavaScript program can name; and what nobody means who knows how long a song is.
VERY_LARGE = 2**53 - 1
ENDLESS = 10**12
# So many digits name any byte there is; Python reads no number of thousands of them.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRangeError(Exception):
    """A whole song of `total` bytes has no such ones."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.total = total


class Body(NamedTuple):
    """What could be asked for: `held` bytes are there, `whole` when no others follow.

    `anchored` tells that byte N is the same for everybody, and `tag` is the entity tag of these bytes.
    """

    held: int
    whole: bool
    anchored: bool
    tag: str


class Part(NamedTuple):
    """The bytes from `first` to `last`; a `length` of None is up to the end that a song has not got yet.

    `content_range` is the value of that header, None for the answer with everything.
    """

    first: int
    length: int | None
    content_range: str | None = None


def part_of(headers: Mapping[str, str], body: Body) -> Part:
    """The part that a request with these headers is answered with.

    Raises UnsatisfiableRangeError, and RequestError `position_lost` for who would go on where nobody can.
    """
    everything = Part(0, body.held if body.whole else None)
    match = _RANGE.fullmatch(headers.get("Range", ""))
    if match is None or match.groups() == ("", "") or headers.get("If-Range", body.tag) != body.tag:
        return everything
    first, last = match.groups()
    if not body.anchored:
        if first and int(first):
            _lost("These bytes are not the same for everybody who asks: begin anew, without a Range.")
        return everything
    if body.whole:
        return _of_whole(body.held, first, last)
    return _of_live(body.held, first, last) or everything


def _of_whole(total: int, first: str, last: str) -> Part:
    start = int(first) if first else max(0, total - int(last))
    stop = min(int(last) + 1, total) if first and last else total
    if start >= total or stop <= start:
        raise UnsatisfiableRangeError(total)
    return Part(start, stop - start, f"bytes {start}-{stop - 1}/{total}")


def _of_live(held: int, first: str, last: str) -> Part | None:
    """None for what nobody can tell of a song without an end, and for `0-`, which is all of it."""
    if not first or (int(first) == 0 and not last):
        return None
    start, end = int(first), int(last) if last else VERY_LARGE
    if start > held:
        _lost("This song has not come so far: begin anew, without a Range.")
    if end >= ENDLESS:
        return Part(start, None, f"bytes {start}-{end}/*")
    stop = min(end + 1, held)
    return Part(start, stop - start, f"bytes {start}-{stop - 1}/*") if stop > start else None


def _lost(sentence: str) -> Never:
    raise RequestError("position_lost", sentence, param="Range")

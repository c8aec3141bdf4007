"""Tests of ranges: which bytes are answered, of a whole song and of one without an end.

Invariant under test: an answer is everything or exactly what its Content-Range says, and nothing a stranger writes is
a fault of ours.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.server.ranges import VERY_LARGE, Body, Part, UnsatisfiableRangeError, part_of

TAG = '"song"'
WHOLE = Body(1000, whole=True, anchored=True, tag=TAG)
LIVE = Body(1000, whole=False, anchored=True, tag=TAG)
EVERYTHING = Part(0, 1000)
ENDLESS = Part(0, None)


def asked(text: str, body: Body, **more: str) -> Part:
    return part_of({"Range": text} | {name.replace("_", "-"): value for name, value in more.items()}, body)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-0", Part(0, 1, "bytes 0-0/1000")),
        ("bytes=0-", Part(0, 1000, "bytes 0-999/1000")),
        ("bytes=999-", Part(999, 1, "bytes 999-999/1000")),
        ("bytes=10-19", Part(10, 10, "bytes 10-19/1000")),
        ("bytes=10-99999", Part(10, 990, "bytes 10-999/1000")),
        ("bytes=-5", Part(995, 5, "bytes 995-999/1000")),
        ("bytes=-5000", Part(0, 1000, "bytes 0-999/1000")),
        ("bytes=-", EVERYTHING),
        ("bytes=0-1,5-6", EVERYTHING),
        ("items=0-1", EVERYTHING),
        ("bytes=٣-", EVERYTHING),
        ("bytes=" + "9" * 5000 + "-", EVERYTHING),
        ("", EVERYTHING),
    ],
)
def test_ranges_of_a_whole_song(text: str, part: Part) -> None:
    """One range is answered; several, other units and what is no number are everything."""
    assert asked(text, WHOLE) == part


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=-0", "bytes=5-3", "bytes=5000-6000"])
def test_outside_of_a_whole_song_there_is_nothing(text: str) -> None:
    """And how long it is."""
    with pytest.raises(UnsatisfiableRangeError) as caught:
        asked(text, WHOLE)
    assert caught.value.total == 1000


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-", ENDLESS),
        ("bytes=-5", ENDLESS),
        ("bytes=5-3", ENDLESS),
        ("bytes=1000-1010", ENDLESS),
        ("bytes=0-99", Part(0, 100, "bytes 0-99/*")),
        ("bytes=10-5000", Part(10, 990, "bytes 10-999/*")),
        ("bytes=10-", Part(10, None, f"bytes 10-{VERY_LARGE}/*")),
        ("bytes=1000-", Part(1000, None, f"bytes 1000-{VERY_LARGE}/*")),
        ("bytes=0-999999999999999", Part(0, None, "bytes 0-999999999999999/*")),
        ("bytes=7-1000000000000", Part(7, None, "bytes 7-1000000000000/*")),
    ],
)
def test_ranges_of_a_song_without_an_end(text: str, part: Part) -> None:
    """What is there has its last byte; who wants the rest, or more than there can be, is followed."""
    assert asked(text, LIVE) == part


def test_nobody_goes_on_where_nobody_has_been() -> None:
    """Behind the end of what is made, and in bytes that are another's."""
    for text, body in (("bytes=1001-", LIVE), ("bytes=1-", LIVE._replace(anchored=False))):
        with pytest.raises(RequestError) as caught:
            asked(text, body)
        assert (caught.value.code, caught.value.param) == ("position_lost", "Range")
    for text in ("bytes=0-", "bytes=0-5", "bytes=-5"):
        assert asked(text, LIVE._replace(anchored=False)) == ENDLESS
        assert asked(text, WHOLE._replace(anchored=False)) == EVERYTHING


def test_a_range_may_be_bound_to_the_bytes_that_were_there() -> None:
    """If-Range: with the same tag it is answered, with any other validator everything is."""
    for validator, answered in ((TAG, True), ('"other"', False), ("Thu, 26 Nov 2026 00:00:00 GMT", False)):
        assert (asked("bytes=10-", WHOLE, If_Range=validator) != EVERYTHING) is answered
        assert (asked("bytes=10-", LIVE, If_Range=validator) != ENDLESS) is answered


@given(st.one_of(st.text(), st.from_regex(r"bytes=\d*-\d*")), st.integers(0, 5000), st.booleans(), st.booleans())
def test_whatever_is_asked(text: str, held: int, whole: bool, anchored: bool) -> None:
    """A part lies inside what there is, and its header says so."""
    try:
        part = asked(text, Body(held, whole, anchored, TAG))
    except (RequestError, UnsatisfiableRangeError):
        return
    if part.length is None:
        assert not whole
        assert part.first <= held
    else:
        assert 0 <= part.first <= part.first + part.length <= held
        assert part.content_range is None or part.content_range.startswith(
            f"bytes {part.first}-{part.first + part.length - 1}/"
        )

"""Tests of where a listener begins: every wish has an answer, and a resume is told the truth.

Invariant under test: the place lies inside what is retained or is to come, or is announced as a gap by whoever joins
there; `True` is said of a resume only if nothing between is lost.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Position
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.since import FromStart, Place, SecondsAgo, Since
from gateway.relay.since import locate as locate_in
from tests.support.relay import Pipe, grow, listen, new_channel, open_channel


def nowhere(position: Position) -> None:
    """No other log of the song is known."""


def locate(channel: Channel, since: Since) -> tuple[int, bool | None]:
    """In the provider's own format."""
    place = locate_in(channel, since, channel, nowhere)
    assert place.wanted is None
    return place.seq, place.recovered


def test_from_the_start() -> None:
    """The start is the first chunk, also when the song is half over."""
    channel = open_channel()
    grow(channel, 5)
    assert locate(channel, FromStart()) == (0, None)


@pytest.mark.parametrize(
    ("seconds", "seq"), [(0.0, 10), (0.05, 9), (0.1, 9), (0.11, 8), (0.5, 5), (1.0, 0), (60.0, 0), (-3.0, 10)]
)
def test_seconds_ago(seconds: float, seq: int) -> None:
    """It is the chunk that sounded so many seconds before the edge; 0 is the edge, and more than there is the start."""
    channel = open_channel()
    grow(channel, 10)
    assert locate(channel, SecondsAgo(seconds)) == (seq, None)


def test_seconds_ago_ends_at_what_is_retained() -> None:
    """What is gone cannot be asked for by time: the oldest chunk is the answer."""
    channel = open_channel(max_bytes=300)
    grow(channel, 10)
    assert locate(channel, SecondsAgo(60.0)) == (7, None)


def test_any_number_of_seconds_has_an_answer() -> None:
    """A number so large that it is infinite in samples is the start."""
    channel = open_channel()
    grow(channel, 3)
    assert locate(channel, SecondsAgo(1e308)) == (0, None)


def test_seconds_ago_before_the_first_sound() -> None:
    """Without a rate there are no seconds yet: the song begins at its start."""
    assert locate(new_channel(), SecondsAgo(3.0)) == (0, None)


@pytest.mark.parametrize(
    ("position", "answer"),
    [
        (Position(3, 7), (7, True)),
        (Position(3, 9), (9, True)),
        (Position(3, 10), (10, True)),
        (Position(3, 6), (6, False)),
        (Position(3, 0), (0, False)),
        (Position(3, 11), (0, False)),
        (Position(4, 8), (0, False)),
    ],
)
def test_resuming(position: Position, answer: tuple[int, bool]) -> None:
    """A retained or next chunk of this epoch continues; what is gone, from the future or of another log does not."""
    channel = open_channel(max_bytes=300)
    grow(channel, 10)
    assert locate(channel, position) == answer


@given(
    st.integers(0, 30),
    st.integers(1, 12),
    st.one_of(
        st.builds(FromStart),
        st.builds(SecondsAgo, st.floats(0, 1e6)),
        st.builds(Position, st.integers(2, 4), st.integers(0, 50)),
    ),
)
def test_what_is_said_of_a_resume_is_what_happens(
    count: int, kept: int, since: FromStart | SecondsAgo | Position
) -> None:
    """Joining there brings all from there on; a resume that was called whole begins where it said, without a gap."""
    channel = open_channel(max_bytes=kept * 100)
    payloads = grow(channel, count)
    seq, whole = locate(channel, since)
    pipe = Pipe()
    listen(channel, pipe, seq)
    assert pipe.heard == b"".join(payloads[max(seq, channel.first) :])
    gaps = [said for said in pipe.said if said[0] == "gap"]
    assert bool(gaps) == (seq < channel.first)
    assert whole is None or isinstance(since, Position)
    if whole:
        assert not gaps
        assert pipe.said[0] == ("started", since)


@pytest.mark.parametrize(
    ("since", "edge", "wanted"),
    [
        (SecondsAgo(2.0), 10.0, 8.0),
        (SecondsAgo(0.0), 10.0, 10.0),
        (SecondsAgo(9.5), 10.0, None),
        (SecondsAgo(60.0), 10.0, None),
        (FromStart(), 10.0, None),
        (Position(3, 2), 10.0, None),
        (SecondsAgo(0.0), 0.9, None),
    ],
)
def test_what_has_not_been_made_is_waited_for(since: Since, edge: float, wanted: float | None) -> None:
    """Near the live edge of a song whose format has only just begun; what is there is not waited for."""
    channel, native = open_channel(), open_channel()
    grow(channel, 10)
    grow(native, round(edge * 10))
    assert locate_in(channel, since, native, nowhere).wanted == wanted


@pytest.mark.parametrize(("edge", "ago", "seq"), [(15, 1.0, 5), (15, 0.6, 9), (0, 0.5, 5), (10, 0.5, 5)])
def test_the_live_edge_is_the_songs(edge: int, ago: float, seq: int) -> None:
    """Also where an encoder is behind it; where the song is another node's it is known as far as this format of it."""
    channel, native = open_channel(), open_channel()
    grow(channel, 10)
    grow(native, edge)
    assert locate_in(channel, SecondsAgo(ago), native, nowhere) == Place(seq)


# -- going on in another format ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "place"),
    [
        (0.0, Place(0, True)),
        (0.5, Place(5, True)),
        (0.55, Place(5, True)),
        (1.0, Place(0, True, 1.0)),
        (7.5, Place(0, True, 7.5)),
        (None, Place(0, False)),
    ],
)
def test_another_format_goes_on_at_the_same_second(second: float | None, place: Place) -> None:
    """In the chunk in which it sounds, or once it has been made; a position that nobody knows is lost."""
    channel = open_channel()
    grow(channel, 10)
    assert locate_in(channel, Position(99, 4), channel, lambda position: second) == place


def test_a_second_that_is_no_longer_retained_is_lost_in_another_format_too() -> None:
    """It begins with the oldest there is, and says so."""
    channel = open_channel(max_bytes=300)
    grow(channel, 10)
    assert locate_in(channel, Position(99, 4), channel, lambda position: 0.3) == Place(7, False)
    assert locate_in(channel, Position(99, 4), channel, lambda position: 0.7) == Place(7, True)


def test_a_song_that_is_over_is_not_waited_for() -> None:
    """Who has heard all of it is at its end."""
    channel = open_channel()
    grow(channel, 10)
    channel.close(None, Bill(1.0, settled=True))
    assert locate_in(channel, Position(99, 4), channel, lambda position: 1.0) == Place(10, True)


@pytest.mark.parametrize(("kept", "recovered"), [(1000, True), (300, False)])
def test_a_format_that_has_not_begun_is_made_of_what_is_retained(kept: int, recovered: bool) -> None:
    """What the provider's own log has lost no other format can have."""
    native = open_channel(max_bytes=kept)
    grow(native, 10)
    assert locate_in(new_channel(), Position(99, 4), native, lambda position: 0.3) == Place(0, recovered, 0.3)

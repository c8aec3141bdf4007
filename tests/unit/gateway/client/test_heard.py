"""What of a song counts as heard: order, doubles, gaps, new epochs, and the hash.

Invariant under test: a frame is heard once, and True is said only of a song that was heard whole.
Frames are made by hand: no connection is involved.
"""

import hashlib

from gateway.client.heard import Heard
from gateway.client.wire import Frame
from gateway.model import Flag, Kind, Position
from gateway.protocol.events import FormatInfo, StreamCompleted, StreamGap, StreamStarted, Usage
from gateway.protocol.frames import Header

RATE = 48000
DURATION = 4800


def started(seq: int = 0, *, epoch: int = 1, rendition: int = 1) -> StreamStarted:
    return StreamStarted("s", rendition, epoch, seq, FormatInfo("mp3", "audio/mpeg", RATE, 2, None))


def frame(seq: int, *, rendition: int = 1, kind: Kind = Kind.AUDIO, pts: int | None = None) -> Frame:
    at = seq * DURATION if pts is None else pts
    return Frame(Header(kind, Flag.NONE, rendition, at, seq, DURATION), b"%d," % seq)


def init(payload: bytes) -> Frame:
    return Frame(Header(Kind.INIT, Flag.NONE, 1, 0, 0, 0), payload)


def completed(joined: bytes) -> StreamCompleted:
    return StreamCompleted("s", 1.0, 1, len(joined), hashlib.sha256(joined).hexdigest(), Usage(1.0, True))


def test_a_song_heard_whole_is_verified() -> None:
    """Init first, then every frame once: the hash agrees, and the sums are right."""
    heard = Heard()
    heard.started(started())
    assert [heard.take(part) for part in (init(b"head"), frame(0), frame(1))] == [True, True, True]
    assert heard.verified(completed(b"head0,1,")) is True
    assert heard.verified(completed(b"other")) is False
    assert (heard.frames, heard.bytes, round(heard.seconds, 9), round(heard.end, 9)) == (2, 8, 0.2, 0.2)
    assert heard.position == Position(1, 2)


def test_frames_before_any_start_or_of_another_rendition_are_not_ours() -> None:
    """Only the announced rendition is heard."""
    heard = Heard()
    assert not heard.take(frame(0))
    heard.started(started())
    assert not heard.take(frame(0, rendition=2))
    assert heard.position == Position(1, 0)


def test_doubles_are_dropped_and_the_song_stays_whole() -> None:
    """What comes twice, the header of the container included, is heard once."""
    heard = Heard()
    heard.started(started())
    heard.take(init(b"head"))
    heard.take(frame(0))
    heard.take(frame(1))
    heard.started(started(1))
    assert [heard.take(part) for part in (init(b"head"), frame(1), frame(2))] == [False, False, True]
    assert (heard.doubles, heard.gaps) == (1, 0)
    assert heard.verified(completed(b"head0,1,2,")) is True


def test_a_gap_is_counted_once_and_ends_verification() -> None:
    """A gap that was announced and the jump that follows it are one gap."""
    heard = Heard()
    heard.started(started())
    heard.take(frame(0))
    heard.gap(StreamGap("s", 1, 5, "lag"))
    assert heard.take(frame(5))
    assert (heard.gaps, heard.position) == (1, Position(1, 6))
    assert heard.verified(completed(b"0,5,")) is None


def test_a_gap_behind_us_is_none_of_ours() -> None:
    """A gap in what has been heard already, or before anything began, changes nothing."""
    heard = Heard()
    heard.gap(StreamGap("s", 0, 5, "retention"))
    heard.started(started())
    heard.take(frame(0))
    heard.gap(StreamGap("s", 0, 1, "retention"))
    assert heard.gaps == 0
    assert heard.verified(completed(b"0,")) is True


def test_a_silent_jump_is_a_gap() -> None:
    """Frames that are missing without a word are missed all the same."""
    heard = Heard()
    heard.started(started())
    heard.take(frame(0))
    assert heard.take(frame(3))
    assert heard.gaps == 1


def test_a_song_joined_later_is_never_verified() -> None:
    """Whoever did not hear the first frame cannot know the whole."""
    heard = Heard()
    heard.started(started(4))
    heard.take(frame(4))
    assert heard.verified(completed(b"4,")) is None
    assert heard.gaps == 0


def test_in_a_new_epoch_time_decides_what_is_new() -> None:
    """Another log of the same song is taken up where the sound stopped, however its frames are numbered."""
    heard = Heard()
    heard.started(started())
    for seq in range(3):
        heard.take(frame(seq))
    heard.started(started(0, epoch=2, rendition=9))
    again = [frame(seq, rendition=9) for seq in range(4)]
    assert [heard.take(part) for part in again] == [False, False, False, True]
    assert (heard.doubles, heard.gaps, heard.position) == (3, 0, Position(2, 4))
    assert heard.verified(completed(b"0,1,2,3,")) is None


def test_sound_that_is_missing_between_two_epochs_is_one_gap() -> None:
    """A new log that begins after the place we were at has left something out."""
    heard = Heard()
    heard.started(started())
    heard.take(frame(0))
    heard.started(started(0, epoch=2))
    assert heard.take(frame(0, pts=5 * DURATION))
    assert heard.take(frame(1, pts=6 * DURATION))
    assert heard.gaps == 1


def test_another_log_may_have_another_header() -> None:
    """A container header that differs from the first is handed on: its frames need it."""
    heard = Heard()
    heard.started(started())
    heard.take(init(b"head"))
    heard.started(started(0, epoch=2))
    assert heard.take(init(b"HEAD"))

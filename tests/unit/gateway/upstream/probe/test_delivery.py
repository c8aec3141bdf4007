"""How slices came, from their sizes and times.

Invariant under test: speeds, silences and the head start are those of a player that hears whole frames.
It must not know who bought the song.
"""

import pytest

from gateway.protocol.dashscope import delta_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.probe.delivery import Delivery, deliver
from gateway.upstream.probe.purchase import Marks
from gateway.upstream.probe.sound import examine
from gateway.upstream.probe.wire import WireLog
from tests.support.relay import FRAME_SECONDS, mp3_frames


def delivered(slices: dict[float, bytes], comments: tuple[float, ...] = (), ended: float | None = None) -> Delivery:
    log = WireLog(1 << 20)
    for at, data in slices.items():
        log.feed(at, encode_event(1, "result", 200, delta_payload(request_id="r", expires_at=1, data=data)))
    log.lines.comments[:] = comments
    return deliver(log, Marks(answered=0.5, ended=ended), examine(b"".join(slices.values())))


def frames(count: int) -> bytes:
    return b"".join(mp3_frames(count))


def test_sizes_gaps_and_silences() -> None:
    """Least, median and most; the longest silence is told with where it begins and the comments in it."""
    came = delivered({2.0: frames(10), 3.0: frames(30), 7.0: frames(20)}, comments=(1.0, 1.5, 5.0, 8.0), ended=7.5)
    assert (came.smallest, came.median, came.largest) == (4170, 8340, 12510)
    assert came.median_gap == 2.5
    assert (came.before_sound.begins, came.before_sound.seconds, came.before_sound.comments) == (0.5, 1.5, 2)
    assert (came.longest.begins, came.longest.seconds, came.longest.comments) == (3.0, 4.0, 1)
    assert [(moment.at, moment.total) for moment in came.timeline] == [(2.0, 4170), (3.0, 16680), (7.0, 25020)]


def test_cuts_within_frames_are_told() -> None:
    """Only those between slices count, and sound is heard in whole frames."""
    data = frames(3)
    came = delivered({1.0: data[:417], 2.0: data[417:500], 3.0: data[500:]})
    assert (came.cuts, came.on_border) == (2, 1)
    assert [moment.seconds / FRAME_SECONDS for moment in came.timeline] == pytest.approx([1, 1, 3])


def test_speeds_are_since_the_first_sound() -> None:
    """At each quarter the sound that was there, over the time since it began; nothing for no time."""
    second = round(1 / FRAME_SECONDS)
    came = delivered({10.0 + n: frames(2 * second) for n in range(4)})
    sound = 2 * second * FRAME_SECONDS
    assert came.speeds == {
        25: None,
        50: pytest.approx(2 * sound),
        75: pytest.approx(1.5 * sound),
        100: pytest.approx(4 * sound / 3),
    }
    assert came.overall == pytest.approx(4 * sound / 13)
    assert came.head_start == 0


def test_a_head_start_is_what_the_worst_moment_takes() -> None:
    """A player that waits for it runs dry at no slice."""
    second = frames(round(1 / FRAME_SECONDS))
    came = delivered({1.0: second, 5.0: second * 10, 6.0: second})
    assert came.head_start == pytest.approx(4 - examine(second).seconds)


def test_a_single_slice_has_no_gaps() -> None:
    """Everything at once: nothing to be divided by, and the silence is what came after."""
    came = delivered({0.0: frames(5)}, ended=2.0)
    assert (came.cuts, came.median_gap, came.head_start, came.overall) == (0, None, 0, 0)
    assert set(came.speeds.values()) == {None}
    assert came.longest.seconds == 2.0


def test_bytes_that_are_no_song_have_no_speed() -> None:
    """They are counted, and that is all."""
    came = delivered({1.0: b"x" * 100, 2.0: b"y" * 50})
    assert (came.largest, came.overall, came.on_border) == (100, 0, 0)

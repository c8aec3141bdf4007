"""The song: its length, its frames, and its slices.

Invariant under test: joined, slices are the song.
It must not know what is measured with it.
"""

import pytest

from gateway.bench.song import song


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_it_is_as_long_as_asked_for(rate: int) -> None:
    """Give or take two frames, which the encoder's delay takes; at 192 kbit/s."""
    made = song(0.5, rate)
    assert made.frame_seconds == 1152 / rate
    assert 0.5 <= made.seconds <= 0.5 + 3 * made.frame_seconds
    assert len(made.data) == pytest.approx(made.seconds * 24_000, rel=0.01)


def test_slices_are_whole_frames_and_the_whole_song() -> None:
    """Of the last one there is less."""
    made = song(0.5)
    steps = made.steps(0.1)
    assert b"".join(steps) == made.data
    assert steps[0] == b"".join(made.frames[:4])
    assert made.steps(made.frame_seconds) == list(made.frames)


def test_its_beginning_has_a_frame() -> None:
    """However short."""
    made = song(0.5)
    assert made.first(0.001).frames == made.frames[:1]
    assert len(made.first(0.1).frames) == 4
    assert made.first(99).frames == made.frames

"""Tests of what a clip can be.

Invariant under test: what is impossible is refused with the field's name and what would be possible; what is possible
becomes samples. The tests know no sound.
"""

from math import inf, nan

import pytest

from transcode.edit import Edit, Span
from transcode.errors import ClipError


@pytest.mark.parametrize(
    ("edit", "field", "says"),
    [
        (Edit(start=-1), "start", "from 0 on, not -1"),
        (Edit(start=nan), "start", "not nan"),
        (Edit(start=inf), "start", "not inf"),
        (Edit(duration=0), "duration", "above 0, not 0"),
        (Edit(duration=-3), "duration", "above 0"),
        (Edit(duration=nan), "duration", "not nan"),
        (Edit(duration=601), "duration", "at most 600 s long, not 601"),
        (Edit(fade_in=nan), "fade_in", "not nan"),
        (Edit(fade_out=-0.1), "fade_out", "from 0 on"),
        (Edit(loop_crossfade=inf), "loop_crossfade", "not inf"),
        (Edit(normalize=nan), "normalize", "-40 to -8 LUFS, not nan"),
        (Edit(normalize=-3.0), "normalize", "not -3"),
        (Edit(normalize=0.0), "normalize", "not 0"),
        (Edit(duration=2, fade_in=3), "fade_in", "as long as the clip, which is 2 s"),
        (Edit(duration=2, fade_out=2.5), "fade_out", "as long as the clip, which is 2 s"),
        (Edit(duration=2, fade_in=1.5, fade_out=1), "fade_out", "has 0.5 s left"),
        (Edit(duration=2, loop_crossfade=1.1), "loop_crossfade", "at most 1 s, half of the clip's 2 s"),
        (Edit(loop_crossfade=1, fade_in=1), "fade_in", "not both"),
        (Edit(loop_crossfade=1, fade_out=1), "fade_out", "give fade_out or loop_crossfade"),
    ],
)
def test_what_is_impossible_is_named(edit: Edit, field: str, says: str) -> None:
    """Without any song."""
    with pytest.raises(ClipError, match=says) as refused:
        edit.check(600.0)
    assert refused.value.field == field
    with pytest.raises(ClipError, match=r"."):
        edit.check(1.0)


@pytest.mark.parametrize(
    ("edit", "field", "says"),
    [
        (Edit(start=10), "start", r"start at 10 s: only the first 10\.000 s of this song are there"),
        (Edit(start=8, fade_in=3), "fade_in", "which is 2 s"),
        (Edit(start=8, duration=100, fade_out=3), "fade_out", "which is 2 s"),
        (Edit(start=8, loop_crossfade=1.5), "loop_crossfade", "at most 1 s"),
        (Edit(start=nan), "start", "not nan"),
    ],
)
def test_what_this_song_has_not(edit: Edit, field: str, says: str) -> None:
    """Ten seconds of it."""
    with pytest.raises(ClipError, match=says) as refused:
        edit.span(80_000, 8000)
    assert refused.value.field == field


def test_nothing_is_there_yet() -> None:
    """Of a song without a sample nothing can be cut."""
    with pytest.raises(ClipError, match="none is yet"):
        Edit().span(0, 8000)


@pytest.mark.parametrize(
    ("edit", "span"),
    [
        (Edit(), Span(0, 80_000, 0, 0, 0)),
        (Edit(start=1.5, duration=2), Span(12_000, 28_000, 0, 0, 0)),
        (Edit(start=9, duration=600), Span(72_000, 80_000, 0, 0, 0)),
        (Edit(duration=2, fade_in=0.5, fade_out=1.5), Span(0, 16_000, 4000, 12_000, 0)),
        (Edit(duration=2, loop_crossfade=1), Span(0, 16_000, 0, 0, 8000)),
        (Edit(duration=1e-9), Span(0, 1, 0, 0, 0)),
        # Each rounded up would be one sample more than there are.
        (Edit(duration=3 / 8000, fade_in=1.5 / 8000, fade_out=1.5 / 8000), Span(0, 3, 2, 1, 0)),
        (Edit(duration=3 / 8000, loop_crossfade=1.5 / 8000), Span(0, 3, 0, 0, 1)),
    ],
)
def test_seconds_become_samples(edit: Edit, span: Span) -> None:
    """What is longer than the song ends with it."""
    assert edit.span(80_000, 8000) == span


def test_loudness() -> None:
    """True is the usual one, False none, a number is itself."""
    assert Edit().loudness is None
    assert Edit(normalize=True).loudness == -16.0
    assert Edit(normalize=-23).loudness == -23

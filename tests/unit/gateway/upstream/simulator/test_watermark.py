"""The machine's mark.

Invariant tested: the mark reads A I, and its length is what it says.
It must not know songs.
"""

import numpy as np
import pytest

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.watermark import SECONDS, mark


def test_the_mark_reads_ai() -> None:
    """Dots and dashes, taken from the sound alone, spell A and I."""
    loud = np.abs(mark()[:, 0].astype(int)).reshape(-1, 480).max(axis=1) > 500
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(int), [0]))))
    tones = [(end - start) / 100 for start, end in zip(edges[::2], edges[1::2], strict=True)]
    pauses = [(start - end) / 100 for end, start in zip(edges[1::2], edges[2::2], strict=False)]
    assert tones == pytest.approx([0.08, 0.24, 0.08, 0.08], abs=0.021)
    assert pauses == pytest.approx([0.08, 0.24, 0.08], abs=0.021)


def test_it_lengthens_a_song_by_what_it_says() -> None:
    """The mark lasts `SECONDS` and begins and ends in silence."""
    assert len(mark()) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.001)
    assert not mark()[:100].any()
    assert not mark()[-100:].any()

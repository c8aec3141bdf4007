"""The figure of the first packet, and a song that is too short for one.

Invariant under test: the worst try is judged, the sound that was needed counts.
It must not start a worker: that is tried with the whole bench.
"""

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.codecs import OPUS
from gateway.bench.first import once, row
from gateway.bench.song import Song
from tests.support.bench import StillPool

SONG = Song((b"frame",) * 3, 48_000, 0.024)


def test_the_worst_is_judged() -> None:
    """One frame and 5 ms for Opus, two for MP3."""
    tries = [(0.024, 0.001), (0.024, 0.002), (0.024, 0.006)]
    assert row("opus", tries[:2], SONG).verdict == "ok"
    found = row("opus", tries, SONG)
    assert (found.value, found.target, found.verdict) == (pytest.approx(26), pytest.approx(29), "over")
    assert found.spread == "at most 30.0; waited 2.0"
    assert row("mp3", [(0.048, 0.004)], SONG).verdict == "ok"


async def test_a_song_without_a_packet_is_told() -> None:
    """It was too short."""
    with pytest.raises(BenchError, match="--seconds"):
        await once(StillPool(), OPUS, SONG.frames)

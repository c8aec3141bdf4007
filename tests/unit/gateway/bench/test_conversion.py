"""The pairs of ours and ffmpeg: their commands, what they cost, and the figures of it.

Invariant under test: both are asked for the same, and what fails is told with what it said.
It must not convert anything: that is tried with the whole bench.
"""

import shutil
import sys
from pathlib import Path

import pytest

from gateway.bench import conversion
from gateway.bench.benches import BenchError
from gateway.bench.conversion import CONVERSIONS, cost, find_ffmpeg, ours, row, theirs
from gateway.bench.figures import Pairs
from gateway.bench.song import Song

OPUS, PCM = CONVERSIONS[0], CONVERSIONS[4]
SONG = Song((b"",) * 10, 44_100, 0.1)


def test_both_are_asked_for_the_same() -> None:
    """Rate, channels, bitrate and codec; output goes nowhere."""
    mine, other = ours(OPUS, Path("song.mp3"), 6000), theirs("/bin/ffmpeg", OPUS, Path("song.mp3"))
    assert mine[-7:-1] == ["song.mp3", "ogg", "48000", "2", "96000", "6000"]
    assert mine[-1] == other[-1] == "/dev/null"
    words = " ".join(other)
    assert "-ar 48000 -ac 2 -b:a 96000 -c:a libopus" in words
    assert "-b:a" not in theirs("/bin/ffmpeg", PCM, Path("song.mp3"))


def test_a_ratio_is_of_the_best_rounds() -> None:
    """With both times for each second of audio beside it, and what the rounds say."""
    pairs = Pairs([0.012, 0.013, 0.02], [0.011, 0.011, 0.011], [0.001], [0.001])
    found = row(OPUS, pairs, SONG)
    assert found.name == "opus 96k of 44.1 kHz"
    assert found.value == pytest.approx(1.1)
    assert found.verdict == "over"
    assert found.spread == "11.00 : 10.00 ms/s; rounds 1.10, 1.20, 1.90 x"


def test_pcm_is_a_difference() -> None:
    """In milliseconds for each second of audio."""
    found = row(PCM, Pairs([0.003], [0.0025], [0.001], [0.001]), SONG)
    assert found.value == pytest.approx(0.5)
    assert (found.unit, found.verdict) == ("ms/s more", "ok")


def test_what_fails_is_told() -> None:
    """With the last line that it said, or that it took too long."""
    with pytest.raises(BenchError, match="said: no good"):
        cost([sys.executable, "-S", "-c", "raise SystemExit('no good')"])


def test_what_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time."""
    monkeypatch.setattr(conversion, "_TIMEOUT", 0.05)
    with pytest.raises(BenchError, match="not ended"):
        cost([sys.executable, "-S", "-c", "import time; time.sleep(60)"])


def test_without_ffmpeg_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to install it, and how to do without."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="--only"):
        find_ffmpeg()

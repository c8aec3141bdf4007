"""Samples from scores.

Invariant tested: songs are clean, level, in stereo, reproducible, and cheap.
It must not know encodings.
"""

import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from gateway.upstream.simulator.music.composer import compose
from gateway.upstream.simulator.music.mixdown import BLOCK
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.score import Note, Part
from gateway.upstream.simulator.music.synthesiser import Block, Synthesiser


def sound(text: str, blocks: int, gender: str | None = "female") -> Block:
    return np.concatenate(list(islice(Synthesiser(compose(text, gender=gender)).blocks(), blocks)))


@pytest.mark.parametrize(("text", "gender"), [("a calm piano piece", "female"), ("loud rock", "male"), ("江南", None)])
def test_a_song_is_clean_and_level(text: str, gender: str | None) -> None:
    """Half a minute in: never above -1 dBFS, about as loud as other music, not harsh, and wider than mono."""
    music = sound(text, 60, gender)[SAMPLE_RATE * 10 :] / 32768
    assert np.abs(music).max() < 10 ** (-1 / 20)
    loudness = 20 * np.log10(np.sqrt(np.mean(music**2)))
    assert -20 < loudness < -14
    power = np.abs(np.fft.rfft(music.mean(axis=1))) ** 2
    hertz = np.fft.rfftfreq(len(music), 1 / SAMPLE_RATE)
    assert power[hertz > 6000].sum() < 0.03 * power.sum()
    assert power[(hertz > 1000) & (hertz < 6000)].sum() > 0.01 * power.sum()
    assert abs(np.mean(music)) < 1e-3
    left, right = music.T
    assert np.mean(left * right) < 0.99 * np.sqrt(np.mean(left**2) * np.mean(right**2))


def test_blocks_join_without_a_seam() -> None:
    """Jumps between samples are not larger at the borders of blocks than elsewhere."""
    score = compose("a calm ambient drone", gender=None)
    music = np.concatenate(list(islice(Synthesiser(score).blocks(), 20))).astype(int)
    jumps = np.abs(np.diff(music, axis=0)).max(axis=1)
    borders = jumps[BLOCK - 1 :: BLOCK]
    assert borders.max() <= np.quantile(jumps, 0.9999)


def test_the_song_ends_in_silence_at_its_length() -> None:
    """All blocks together have the score's length, and the end has faded."""
    score = compose("rock")
    short = replace(score, seconds=3.3, notes=tuple(note for note in score.notes if note.start < 1.5))
    music = np.concatenate(list(Synthesiser(short).blocks()))
    assert music.shape == (round(3.3 * SAMPLE_RATE), 2)
    assert np.abs(music[-200:]).max() < 50
    assert np.abs(music).max() > 1000


def test_the_same_score_gives_the_same_samples() -> None:
    """Nothing but the score decides."""
    assert np.array_equal(sound("same", 6), sound("same", 6))


def test_a_note_that_reaches_past_everything_is_cut() -> None:
    """A note longer than the buffer is shortened instead of failing."""
    score = compose("x", gender=None)
    long = Note(Part.PAD, 0.4, 60.0, 60, 0.5)
    music = np.concatenate(list(islice(Synthesiser(replace(score, notes=(long,))).blocks(), 4)))
    assert np.abs(music).max() > 100


def test_a_second_of_music_costs_little() -> None:
    """Synthesis stays far below real time; 200 ms of processor a second of music leave room for a tracer."""
    score = compose("energetic electronic dance")
    start = time.process_time()
    blocks = list(islice(Synthesiser(score).blocks(), 40))
    assert (time.process_time() - start) / (len(blocks) / 2) < 0.2

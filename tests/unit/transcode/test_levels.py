"""Levels against those of the sound itself, decoded whole by another way.

Invariant under test: what a meter shows is what the samples are, however the bytes were sliced.
It must not know who looks at them.
"""

import io
import random
from collections.abc import Mapping
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from transcode.errors import UnknownFormat
from transcode.levels import STEPS, Level, Levels, levels
from transcode.wavheader import wav_header

RATE = 48_000
Samples = npt.NDArray[Any]


def tone(seconds: float, amplitude: float = 0.5, channels: int = 2) -> Samples:
    """Of 1 kHz; the second channel at half the amplitude."""
    wave = np.sin(2 * np.pi * 1000 * np.arange(round(seconds * RATE)) / RATE) * amplitude
    return np.stack([wave / (1 + channel) for channel in range(channels)])


def s16(sound: Samples) -> bytes:
    return (sound.T * 32767).round().astype("<i2").tobytes()


def fed(measure: Levels | None, data: bytes, seed: int | None = None) -> list[Level]:
    """The levels of all of it, in one piece or in random ones."""
    assert measure is not None
    if seed is None:
        return measure.feed(data)
    sizes = random.Random(seed)
    found: list[Level] = []
    while data:
        size = sizes.randrange(1, 5000)
        found += measure.feed(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_has_the_level_it_was_made_with(channels: int) -> None:
    """The peak is its amplitude and the RMS 3 dB below, in each channel, twenty times a second."""
    found = fed(levels("audio/L16", RATE, channels), s16(tone(1.0, channels=channels)))
    assert len(found) == STEPS
    for level in found:
        expected = [0.5 / (1 + channel) for channel in range(channels)]
        assert level.peak == pytest.approx(expected, abs=1e-3)
        assert level.rms == pytest.approx([amplitude / 2**0.5 for amplitude in expected], abs=1e-3)


def test_silence_is_nothing() -> None:
    """Not even a little."""
    assert fed(levels("audio/L16", RATE, 1), bytes(RATE // STEPS * 2)) == [Level((0.0,), (0.0,))]


def rms_of(channel: Samples, step: int, shift: int) -> Samples:
    moved = channel[shift:] if shift >= 0 else np.concatenate([np.zeros(-shift), channel])
    return np.array([np.sqrt(np.square(moved[at * step : (at + 1) * step]).mean()) for at in range(len(moved) // step)])


@pytest.mark.parametrize("name", ["bare", "cbr128", "cbr192", "cbr320"])
def test_an_mp3_has_the_levels_of_its_samples(songs: Mapping[str, bytes], name: str) -> None:
    """Step by step those of the file as FFmpeg decodes it, within a twentieth of a decibel."""
    with av.open(io.BytesIO(songs[name])) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        rate = container.streams.audio[0].rate
    found = fed(levels("audio/mpeg", rate, sound.shape[0]), songs[name], seed=3)
    assert len(found) >= STEPS * 1.8
    ours = np.array([level.rms[0] for level in found])[2:30]
    # The demuxer may leave out what a tag calls padding at the start, and we may not, or the other way round.
    differences = [
        float(np.abs(20 * np.log10(ours / rms_of(sound[0], rate // STEPS, shift)[2:30])).max())
        for shift in (0, -1105, 1105)
    ]
    assert min(differences) < 0.05


def test_slices_change_nothing(songs: Mapping[str, bytes]) -> None:
    """One piece or many, the levels are the same."""
    whole = fed(levels("audio/mpeg", RATE, 2), songs["cbr192"])
    assert fed(levels("audio/mpeg", RATE, 2), songs["cbr192"], seed=8) == whole
    pcm = s16(tone(0.5))
    assert fed(levels("audio/L16", RATE, 2), pcm, seed=9) == fed(levels("audio/L16", RATE, 2), pcm)


def test_a_wav_begins_with_its_header() -> None:
    """Which tells what follows."""
    pcm = s16(tone(0.5))
    assert fed(levels("audio/wav", RATE, 2), wav_header(RATE, 2) + pcm) == fed(levels("audio/L16", RATE, 2), pcm)


@pytest.mark.parametrize("mime", ['audio/ogg; codecs="opus"', "audio/aac", "audio/flac", 'audio/mp4; codecs="mp4a"'])
def test_what_cannot_be_decoded_here_has_no_levels(mime: str) -> None:
    """Rather than guessed ones."""
    assert levels(mime, RATE, 2) is None


def test_what_is_no_such_sound_is_refused() -> None:
    """A header that is none."""
    with pytest.raises(UnknownFormat):
        fed(levels("audio/wav", RATE, 2), b"RIFF" + bytes(60))

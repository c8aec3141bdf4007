"""Frames of varying size.

Invariant tested: the sizes differ, every frame stands for itself, and the samples are those of the frames before.
It must not know songs.
"""

import io
from collections.abc import Iterator

import av
import numpy as np
import numpy.typing as npt
import pytest

from gateway.upstream.simulator.vbr import BITRATE, bitrate, vary
from transcode.framer import Framer
from transcode.mp3encoder import Mp3Encoder
from transcode.mp3header import parse_header


@pytest.fixture(scope="module")
def encoded() -> bytes:
    """Two seconds of sweeping tones and noise at the rate that `vary` expects."""
    time = np.arange(2 * 48000) / 48000
    noise = np.random.default_rng(1).normal(0, 0.05, len(time)) * (time > 1)
    left = 0.3 * np.sin(2 * np.pi * (300 + 400 * time) * time) + noise
    right = 0.2 * np.sin(2 * np.pi * 660 * time) * (time < 1.5)
    pcm = (np.stack((left, right), axis=1) * 32767).astype("<i2").tobytes()
    encoder = Mp3Encoder(48000, 2, BITRATE)
    return encoder.feed(pcm) + encoder.flush()


def decode(data: bytes) -> npt.NDArray[np.float32]:
    with av.open(io.BytesIO(data), "r", format="mp3") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def test_it_is_of_variable_bitrate(encoded: bytes) -> None:
    """Frames of at least three bitrates, none of which borrows from another, and as many as there were."""
    varied = b"".join(vary([encoded]))
    framer = Framer()
    frames = [frame.data for frame in [*framer.feed(varied), *framer.flush()]]
    headers = [parse_header(frame) for frame in frames]
    assert len({header.bitrate for header in headers if header}) >= 3
    assert all(int.from_bytes(frame[4:6], "big") >> 7 == 0 for frame in frames)
    assert framer.skipped == 0
    original = Framer()
    assert len(frames) == len([*original.feed(encoded), *original.flush()])


def test_it_sounds_the_same(encoded: bytes) -> None:
    """Decoded, every sample is the same."""
    assert np.array_equal(decode(b"".join(vary([encoded]))), decode(encoded))


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_it_does_not_depend_on_the_pieces(encoded: bytes, size: int) -> None:
    """The same frames from any pieces."""
    assert b"".join(vary(pieces(encoded[:20000], size))) == b"".join(vary([encoded[:20000]]))


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_and_mono(sample_rate: int, channels: int) -> None:
    """Sizes differ, nothing is borrowed and the sound is the same, also in the shorter frames of MPEG 2 and 2.5."""
    count = 2 * sample_rate * channels
    bursts = np.sin(np.arange(count) / count * 40) ** 2
    noise = np.random.default_rng(2).normal(0, 5000, count) * bursts
    encoder = Mp3Encoder(sample_rate, channels, bitrate(sample_rate, channels))
    data = encoder.feed(noise.clip(-32768, 32767).astype("<i2").tobytes()) + encoder.flush()
    varied = b"".join(vary([data]))
    framer = Framer()
    frames = [*framer.feed(varied), *framer.flush()]
    headers = [parse_header(frame.data) for frame in frames]
    assert framer.skipped == 0
    assert len({header.bitrate for header in headers if header}) >= 2
    assert np.array_equal(decode(varied), decode(data))


def test_what_to_encode_with() -> None:
    """What songs are made with is unchanged; mono has half of it, where the frames are large enough."""
    assert bitrate(48000, 2) == BITRATE
    assert [bitrate(rate, 1) for rate in (8000, 24000, 48000)] == [32000, 64000, 64000]

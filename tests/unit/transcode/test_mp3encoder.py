"""Tests of the MP3 encoder.

Invariant under test: bytes out depend on samples in, not on slices, with either LAME. Golden truth is a decode by PyAV.
The tests know nothing of the framers; they look at headers and at decoded sound only.
"""

import io
import random
from importlib.util import find_spec

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.errors import EncodeError
from transcode.mp3encoder import AvLame, LameencLame, Mp3Encoder
from transcode.mp3header import parse_header

LAMES = [
    pytest.param(AvLame, id="av"),
    pytest.param(LameencLame, id="lameenc", marks=pytest.mark.skipif(not find_spec("lameenc"), reason="not installed")),
]


def tone(sample_rate: int, channels: int, seconds: float = 0.5) -> bytes:
    """A 440 Hz tone at half scale, s16le interleaved."""
    time = np.arange(round(sample_rate * seconds)) / sample_rate
    return np.repeat(np.sin(2 * np.pi * 440 * time) * 16000, channels).astype("<i2").tobytes()


def decode(mp3: bytes) -> NDArray[np.float32]:
    """What PyAV hears: float samples, shape (channels, samples)."""
    with av.open(io.BytesIO(mp3), "r", format="mp3") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.mark.parametrize("lame", LAMES)
@pytest.mark.parametrize(
    ("sample_rate", "channels", "bitrate"),
    [(44100, 2, 192000), (48000, 2, 320000), (32000, 1, 32000), (24000, 1, 64000), (8000, 1, 8000), (16000, 2, 160000)],
)
def test_encodes_what_was_asked_for(lame: type[AvLame], sample_rate: int, channels: int, bitrate: int) -> None:
    """The first frame says the rate, channels and bitrate asked for, and the tone is heard in full."""
    coder = Mp3Encoder(sample_rate, channels, bitrate, lame=lame)
    mp3 = coder.feed(tone(sample_rate, channels)) + coder.flush()
    header = parse_header(mp3)
    assert header is not None
    assert (header.kind.sample_rate, header.kind.channels, header.bitrate) == (sample_rate, channels, bitrate)
    sound = decode(mp3)
    assert sound.shape[0] == channels
    assert sound.shape[1] >= sample_rate // 2
    spectrum = np.abs(np.fft.rfft(sound[0]))
    assert abs(np.argmax(spectrum) * sample_rate / sound.shape[1] - 440) < 5


@pytest.mark.parametrize("lame", LAMES)
@pytest.mark.parametrize("channels", [1, 2])
def test_slices_do_not_matter(lame: type[AvLame], channels: int) -> None:
    """Slices of any size, cut within samples and some of them empty, give the bytes that one slice gives."""
    pcm = tone(24000, channels)
    whole = Mp3Encoder(24000, channels, 64000, lame=lame)
    expected = whole.feed(pcm) + whole.flush()
    rng = random.Random(7)
    sliced = Mp3Encoder(24000, channels, 64000, lame=lame)
    out, at = [], 0
    while at < len(pcm):
        size = rng.choice((0, 1, 3, 5, 1000, 4097))
        out.append(sliced.feed(pcm[at : at + size]))
        at += size
    out.append(sliced.flush())
    assert b"".join(out) == expected


@pytest.mark.parametrize("lame", LAMES)
def test_nothing_in_nothing_out(lame: type[AvLame]) -> None:
    """An encoder that saw no whole sample block gives no bytes at all."""
    coder = Mp3Encoder(44100, 2, 128000, lame=lame)
    assert coder.feed(b"") == b""
    assert coder.feed(b"abc") == b""
    assert coder.flush() == b""


@pytest.mark.parametrize("lame", LAMES)
def test_flush_ends_it(lame: type[AvLame]) -> None:
    """After flush another flush gives nothing and feed is refused."""
    coder = Mp3Encoder(44100, 2, 128000, lame=lame)
    coder.feed(tone(44100, 2))
    assert coder.flush()
    assert coder.flush() == b""
    with pytest.raises(EncodeError, match="flushed"):
        coder.feed(b"\0\0\0\0")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ((96000, 2, 128000), "96000 Hz"),
        ((0, 2, 128000), "sample rate of 0"),
        ((44100, 0, 128000), "channels, not 0"),
        ((44100, 6, 128000), "channels, not 6"),
        ((44100, 2, 500000), "500000 bit/s"),
        ((44100, 2, 24000), "24000 bit/s"),
        ((8000, 1, 128000), "128000 bit/s"),
        ((44100, 2, -1), "320000"),
    ],
)
def test_impossible_parameters(parameters: tuple[int, int, int], says: str) -> None:
    """What MP3 cannot be is refused with a sentence that names the value, and lists the choices for a bitrate."""
    with pytest.raises(EncodeError, match=says):
        Mp3Encoder(*parameters)

"""Tests of libopus called directly.

Invariant under test: it makes what FFmpeg makes with it, however the sound was cut, and what it refuses is our error.
Golden truth is PyAV's encoder, over the same library.
"""

import _ctypes
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.encoders import libopus
from transcode.encoders.libopus import LibOpus
from transcode.errors import EncodeError
from transcode.samples import as_s16

OPTIONS = {"frame_duration": "20", "application": "audio", "compression_level": "10", "vbr": "on"}


def noise(channels: int, samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 0.2, (channels, samples)).astype(np.float32)


def golden(rate: int, channels: int, bitrate: int, block: NDArray[np.float32]) -> tuple[bytes, list[bytes]]:
    """The head and the packets that FFmpeg makes of whole packets' sound."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = rate, "mono" if channels == 1 else "stereo", "flt"
    context.bit_rate, context.options, context.time_base = bitrate, OPTIONS, Fraction(1, rate)
    context.open()
    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=context.layout.name)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    units = [bytes(packet) for packet in context.encode(frame)]
    return context.extradata or b"", units


@pytest.mark.parametrize(
    ("rate", "channels", "bitrate"),
    [(48000, 2, 96000), (48000, 2, 320_000), (24000, 1, 32000), (16000, 2, 24000), (12000, 1, 6000), (8000, 2, 64000)],
)
def test_it_makes_what_ffmpeg_makes(rate: int, channels: int, bitrate: int) -> None:
    """The head and every packet, byte for byte, in one piece and in many."""
    block = noise(channels, rate)
    head, units = golden(rate, channels, bitrate, block)
    assert len(units) == 50
    coder = LibOpus(rate, channels, bitrate)
    assert coder.extradata == head
    assert coder.encode(block) == units
    pieces = LibOpus(rate, channels, bitrate)
    assert [unit for at in range(0, rate, 1009) for unit in pieces.encode(block[:, at : at + 1009])] == units


def test_sixteen_bits_are_the_same_sound() -> None:
    """As floats of the same value."""
    whole = as_s16(noise(2, 9600))
    floats = whole.astype(np.float32) / 32768
    assert LibOpus(48000, 2, 96000).encode(whole) == LibOpus(48000, 2, 96000).encode(floats)


def test_a_unit_is_there_with_its_last_sample() -> None:
    """And not before; of nothing there is none."""
    coder, block = LibOpus(48000, 1, 64000), noise(1, 960)
    assert coder.encode(block[:, :0]) == []
    assert coder.encode(block[:, :959]) == []
    assert len(coder.encode(block[:, 959:])) == 1


def test_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes in in parts, of which nothing is heard."""
    block = noise(2, 9600)
    units = LibOpus(48000, 2, 96000).encode(block)
    monkeypatch.setattr(libopus, "_STEP", 700)
    assert LibOpus(48000, 2, 96000).encode(block) == units


def test_what_is_no_number_does_no_harm() -> None:
    """It is silence to the library, and what follows is encoded."""
    coder = LibOpus(48000, 2, 96000)
    broken = np.full((2, 960), np.nan, dtype=np.float32)
    assert len(coder.encode(broken)) == 1
    assert len(coder.encode(noise(2, 960))[0]) > 100


def test_what_it_refuses_is_an_encode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it begins, and when it is at work."""
    with pytest.raises(EncodeError, match="no Opus at 44100 Hz, 2 channels, 96000 bit/s: invalid argument"):
        LibOpus(44100, 2, 96000)
    with pytest.raises(EncodeError, match="no Opus at 48000 Hz, 1 channels, -5 bit/s: invalid argument"):
        LibOpus(48000, 1, -5)
    coder = LibOpus(48000, 2, 96000)
    monkeypatch.setattr(libopus, "_MOST", 0)
    with pytest.raises(EncodeError, match="libopus has failed: invalid argument"):
        coder.encode(noise(2, 960))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is looked for anew."""
    monkeypatch.setattr(libopus, "_library", libopus._library.__wrapped__)


@pytest.mark.usefixtures("fresh")
def test_without_a_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be loaded is none, nor is another library."""
    places = ["/nowhere/libopus.so.0", __file__, str(_ctypes.__file__)]
    monkeypatch.setattr(libopus, "_places", lambda: places)
    with pytest.raises(EncodeError, match="no libopus was found"):
        LibOpus(48000, 2, 96000)


@pytest.mark.usefixtures("fresh")
def test_the_first_that_can_be_had_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is passed over."""
    own = next(iter(libopus._places()))
    monkeypatch.setattr(libopus, "_places", lambda: ["/nowhere/libopus.so.0", own])
    assert LibOpus(48000, 2, 96000).lookahead == 312

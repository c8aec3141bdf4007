"""Tests of freeing MP3 frames of what they borrow.

Invariant under test: a decoder hears the very same, and each frame alone is enough for itself. Golden truth is FFmpeg's
decode of LAME's own frames.
"""

from importlib.util import find_spec

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.encoders.reservoir import Reservoir
from transcode.framer import Framer
from transcode.mp3encoder import LameencLame, Mp3Encoder
from transcode.mp3header import parse_header

pytestmark = pytest.mark.skipif(not find_spec("lameenc"), reason="only lameenc's frames borrow")

# Rate, channels, bitrate: of those that can all be freed, every version and number of channels.
FREED = [
    (44100, 2, 128000),
    (44100, 2, 160000),
    (44100, 1, 64000),
    (32000, 2, 192000),
    (48000, 2, 96000),
    (24000, 2, 64000),
    (24000, 1, 64000),
    (16000, 1, 24000),
    (8000, 1, 16000),
    (8000, 2, 64000),
]
KEPT = [(44100, 2, 192000), (44100, 2, 320000), (48000, 2, 160000), (24000, 2, 112000)]


def frames_of(rate: int, channels: int, bitrate: int) -> list[bytes]:
    """LAME's frames of noise that comes and goes, for which it borrows all that it can."""
    draw = np.random.default_rng(1)
    loud = np.repeat(draw.random(40) < 0.3, rate // 20)
    noise = (draw.normal(0, 9000, (len(loud), channels)) * loud[:, np.newaxis]).clip(-32768, 32767)
    encoder, framer = Mp3Encoder(rate, channels, bitrate, lame=LameencLame), Framer()
    mp3 = encoder.feed(noise.astype("<i2").tobytes()) + encoder.flush()
    return [frame.data for frame in framer.feed(mp3) + framer.flush()]


def decoded(frames: list[bytes]) -> NDArray[np.float32]:
    context = av.CodecContext.create("mp3float", "r")
    assert isinstance(context, av.AudioCodecContext)
    sound = [frame.to_ndarray() for data in frames for frame in context.decode(av.Packet(data))]
    return np.concatenate(sound, axis=1).astype(np.float32)


def pointer(frame: bytes) -> int:
    """How much the frame borrows."""
    return int.from_bytes(frame[4:6], "big") >> 7 if frame[1] & 8 else frame[4]


@pytest.mark.parametrize(("rate", "channels", "bitrate"), FREED)
def test_the_sound_is_the_same_and_nothing_is_borrowed(rate: int, channels: int, bitrate: int) -> None:
    """Not a bit is another, and all frames together are hardly larger."""
    frames = frames_of(rate, channels, bitrate)
    reservoir = Reservoir()
    freed = [reservoir.taken(frame) for frame in frames]
    assert any(pointer(frame) for frame in frames)
    assert not any(pointer(frame) for frame in freed)
    for frame in freed:
        header = parse_header(frame)
        assert header is not None
        assert header.size == len(frame)
    assert np.array_equal(decoded(freed), decoded(frames))
    assert sum(map(len, freed)) < 1.2 * sum(map(len, frames))


@pytest.mark.parametrize(("rate", "channels", "bitrate"), KEPT)
def test_what_might_not_fit_is_kept(rate: int, channels: int, bitrate: int) -> None:
    """All of it, but for the first frame that somebody hears: that one alone borrows nothing any more."""
    frames = frames_of(rate, channels, bitrate)
    reservoir = Reservoir()
    assert [reservoir.taken(frame) for frame in frames] == frames
    expected = decoded(frames)
    size = expected.shape[1] // len(frames)
    for number in range(2, len(frames), 5):
        reservoir = Reservoir()
        given = [reservoir.taken(frame, first=at == number) for at, frame in enumerate(frames)]
        assert pointer(given[number]) == 0
        assert given[:number] + given[number + 1 :] == frames[:number] + frames[number + 1 :]
        # Frames behind it find what they put into it where they look for it.
        wrong = np.abs(decoded(given) - expected)
        assert wrong[:, (number + 1) * size + 576 + 512 :].max(initial=0) < 1e-4


def test_what_borrows_from_before_the_start_is_silent() -> None:
    """And what is no frame stays what it is."""
    frames = frames_of(44100, 2, 128000)
    alone = [(Reservoir().taken(frame), frame) for frame in frames if pointer(frame) > 100]
    silent = [(made, frame) for made, frame in alone if made[4:36] == bytes(32)]
    assert len(silent) > 10
    assert all(made[:4] + made[36:] == frame[:4] + frame[36:] for made, frame in silent)
    assert not any(pointer(made) for made, _ in alone)
    assert Reservoir().taken(b"no frame") == b"no frame"


@pytest.mark.parametrize(("rate", "channels", "bitrate"), FREED)
def test_a_frame_is_given_before_its_end_is_there(rate: int, channels: int, bitrate: int) -> None:
    """As soon as its own octets are: it is what it will be, and never less."""
    reservoir, sooner = Reservoir(), 0
    for frame in frames_of(rate, channels, bitrate):
        early = [reservoir.early(frame[:size]) for size in range(len(frame))]
        whole = reservoir.taken(frame)
        given = [unit for unit in early if unit is not None]
        assert set(given) <= {whole}
        sooner += bool(given)
    assert sooner


@pytest.mark.parametrize(("rate", "channels", "bitrate"), KEPT)
def test_a_frame_that_is_kept_is_not_given_early(rate: int, channels: int, bitrate: int) -> None:
    """Its end holds what another frame has put there, and goes along."""
    reservoir = Reservoir()
    for frame in frames_of(rate, channels, bitrate)[:20]:
        assert reservoir.early(frame[:-1]) is None
        reservoir.taken(frame)


def test_what_borrows_from_before_the_start_is_not_given_early() -> None:
    """There is nothing to wait for, but nothing to give either."""
    frames = frames_of(44100, 2, 128000)
    borrowing = next(frame for frame in frames if pointer(frame))
    assert Reservoir().early(borrowing[:-1]) is None

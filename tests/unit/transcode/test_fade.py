"""Fading out without decoding: what a decoder hears of it, at every rate and in every coding of a WAV.

Invariant under test: the sound before the fade is untouched, in it the level falls as told, behind it there is silence;
frames keep their length and damage is nobody's accident. It must not know what a fade is for.
"""

import io

import av
import numpy as np
import pytest

from tests.support.packets import Sound, melody, s16, wav
from transcode.fade import faded
from transcode.formats import CodecFrame
from transcode.framer import Framer

SECONDS = 2.0


def mp3(sound: Sound, rate: int, channels: int, *, bitrate: int = 64_000, reservoir: bool = True) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate, options={"reservoir": str(int(reservoir))})
        stream.layout = "mono" if channels == 1 else "stereo"
        stream.bit_rate = bitrate
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(s16(sound), "<i2").reshape(1, -1), "s16", "mono" if channels == 1 else "stereo"
        )
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def heard(song: bytes, form: str, **options: str) -> Sound:
    """Decoded, as (channels, samples)."""
    with av.open(io.BytesIO(song), format=form) as container:
        container.streams.audio[0].codec_context.options = options
        resampler = av.AudioResampler("fltp")
        frames = [made.to_ndarray() for frame in container.decode(audio=0) for made in resampler.resample(frame)]
    return np.concatenate(frames, axis=1)


def cut(song: bytes) -> tuple[Framer, list[CodecFrame]]:
    framer = Framer()
    return framer, framer.feed(song) + framer.flush()


def fade(framer: Framer, frames: list[CodecFrame], begin: float, end: float) -> list[CodecFrame]:
    """With a straight line from 1 at second `begin` to 0 at `end`."""
    assert framer.format is not None
    assert framer.codec is not None
    rate, at, made = framer.format.sample_rate, 0, []
    for frame in frames:
        gains = [min(1.0, max(0.0, (end - second / rate) / (end - begin))) for second in (at, at + frame.samples)]
        made.append(faded(frame, framer.codec, framer.format.channels, *gains) if gains[1] < 1.0 else frame)
        at += frame.samples
    return made


def level(sound: Sound, rate: int, second: float) -> float:
    """Root mean square of a tenth of a second."""
    part = sound[:, int((second - 0.05) * rate) : int((second + 0.05) * rate)]
    return float(np.sqrt(np.mean(np.square(part))))


@pytest.mark.parametrize(
    ("rate", "channels"),
    [(48000, 2), (44100, 1), (32000, 2), (24000, 2), (22050, 1), (16000, 1), (11025, 1), (8000, 2)],
)
def test_an_mp3_fades_as_told(rate: int, channels: int) -> None:
    """MPEG 1, 2 and 2.5, in mono and in joint stereo: the level follows the line within a step of the format."""
    song = mp3(melody(rate, channels, SECONDS), rate, channels)
    framer, frames = cut(song)
    quiet = fade(framer, frames, 0.8, 1.6)
    assert [len(frame.data) for frame in quiet] == [len(frame.data) for frame in frames]
    before, after = heard(song, "mp3"), heard(b"".join([frame.data for frame in quiet]), "mp3")
    assert after.shape == before.shape
    # A decoder's delay and its overlap reach over two granules.
    edge = int((0.8 - 4 * 1152 / rate) * rate)
    assert np.array_equal(before[:, :edge], after[:, :edge])
    delay = 529 / rate
    for second in (1.0, 1.2, 1.4):
        wanted = (1.6 - second + delay) / 0.8
        assert level(after, rate, second) == pytest.approx(level(before, rate, second) * wanted, rel=0.2)
    assert level(after, rate, 1.6 + 3 * 1152 / rate + 0.05) < 1e-4
    assert level(before, rate, 1.6 + 3 * 1152 / rate + 0.05) > 1e-2


def test_a_frame_with_a_checksum_gets_the_right_one() -> None:
    """The decoder that looks at checksums finds nothing wrong, and would."""
    # Without a reservoir and at a bitrate that leaves room at each frame's end, two octets of it make the checksum.
    song = mp3(melody(48000, 2, 0.5) * 0.1, 48000, 2, bitrate=320_000, reservoir=False)
    framer, frames = cut(song)
    bare = [
        CodecFrame(bytes([f.data[0], f.data[1] & 0xFE]) + f.data[2:4] + b"\0\0" + f.data[4:-2], f.samples)
        for f in frames
    ]
    checked = [faded(frame, "mp3", 2, 1.0, 1.0) for frame in bare]
    loud = heard(b"".join([frame.data for frame in checked]), "mp3", err_detect="crccheck+explode")
    assert np.array_equal(loud, heard(song, "mp3"))
    quiet = fade(framer, checked, 0.1, 0.4)
    assert level(heard(b"".join([f.data for f in quiet]), "mp3", err_detect="crccheck+explode"), 48000, 0.3) > 0
    with pytest.raises(av.error.FFmpegError):
        heard(b"".join([frame.data for frame in bare]), "mp3", err_detect="crccheck+explode")


@pytest.mark.parametrize("coding", ["u8", "s16", "s24", "s32", "f32"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_fades_sample_by_sample(coding: str, channels: int) -> None:
    """Every coding that is relayed: the samples are those of before times a straight line."""
    song = wav(melody(8000, channels, SECONDS), 8000, coding)
    framer, frames = cut(song)
    quiet = fade(framer, frames, 0.5, 1.5)
    before = heard(song, "wav")
    after = heard(framer.init + b"".join([frame.data for frame in quiet]), "wav")
    line = np.clip((1.5 - (np.arange(before.shape[1]) + 1) / 8000) / 1.0, 0.0, 1.0)
    assert np.allclose(after, before * line, atol=1 / 120 if coding == "u8" else 1 / 32000)
    assert not after[:, 12000:].any()


def test_what_has_no_sound_or_no_header_stays_as_it_is() -> None:
    """An encoder's index in front of a song, and what is no frame at all."""
    index = CodecFrame(b"\xff\xfb\x90\x00" + bytes(413), 0)
    assert faded(index, "mp3", 2, 0.5, 0.5) is index
    damaged = CodecFrame(b"nothing that is a frame", 1152)
    assert faded(damaged, "mp3", 2, 0.5, 0.5) == damaged

"""Tests of clips: what is heard of them, sample by sample where the format has all samples.

Invariant under test: lengths are exact; fades begin and end at nothing; a loop's end runs into its beginning; every
format is a file that others open. The tests know the shape of a fade and the length of a loop.
"""

import hashlib
import io
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.packets import melody
from tests.unit.transcode.test_meter import band, integrated
from transcode.clip import clip, cut
from transcode.edit import Edit
from transcode.errors import ClipError, UnknownFormat, UnsupportedFormat
from transcode.formats import FLAC, FORMATS, MP3, MP4, PCM, WAV, Format
from transcode.spec import Wish
from transcode.wavheader import wav_header

RATE = 8000


def pcm(samples: NDArray[np.floating]) -> bytes:
    """(channels, n) samples, full scale at 1."""
    return (samples * 32767).clip(-32768, 32767).round().astype("<i2").T.tobytes()


def noise(seconds: float, channels: int = 1, level: float = 0.1, rate: int = RATE) -> NDArray[np.floating]:
    return np.random.default_rng(4).normal(0, level, (channels, round(seconds * rate)))


def edited(sound: NDArray[np.floating], edit: Edit, rate: int = RATE) -> NDArray[np.int16]:
    """(n, channels) samples of the clip."""
    return np.frombuffer(cut(pcm(sound), rate, len(sound), edit), "<i2").reshape(-1, len(sound))


def decoded(file: bytes, form: Format, rate: int = 44100, channels: int = 2) -> tuple[str, NDArray[np.float32]]:
    """The codec's name, and (channels, n) samples at the file's own rate."""
    raw = {"sample_rate": str(rate), "ch_layout": "stereo" if channels == 2 else "mono"}
    options = {"format": "s16le", "options": raw} if form is PCM else {}
    with av.open(io.BytesIO(file), **options) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        stream = container.streams.audio[0]
        flat = np.concatenate(frames, axis=1)
        if stream.codec_context.format.is_packed:
            flat = flat.reshape(-1, stream.codec_context.channels).T
        scale = 1 if flat.dtype == np.float32 else 32768
        return stream.codec_context.name, flat.astype(np.float32) / np.float32(scale)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_part_is_the_very_samples(channels: int) -> None:
    """From a sample to a sample, not from millisecond to millisecond."""
    sound = noise(3, channels)
    found = edited(sound, Edit(start=0.123125, duration=1.000125))
    assert found.tobytes() == pcm(sound[:, 985 : 985 + 8001])
    assert edited(sound, Edit(start=2.5, duration=9)).tobytes() == pcm(sound[:, 20000:])
    assert edited(sound, Edit()).tobytes() == pcm(sound)


def test_fades() -> None:
    """Straight, from 0 and to 0, as long as they are said to be; what is between is untouched."""
    found = edited(np.full((2, 24000), 0.5), Edit(fade_in=1, fade_out=0.5)).astype(float) / round(0.5 * 32767)
    assert np.allclose(found[:8000, 0], np.arange(8000) / 8000, atol=1e-4)
    assert (found[8000:20000] == 1).all()
    assert np.allclose(found[20000:, 1], np.arange(3999, -1, -1) / 4000, atol=1e-4)
    whole = edited(np.full((1, 8000), 0.5), Edit(fade_in=0.5, fade_out=0.5))
    assert whole[0] == whole[-1] == 0


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("crossfade", [0.01, 0.5, 2.0])
def test_a_loop_has_no_seam(channels: int, crossfade: float) -> None:
    """Its length is the clip's without the crossfade; its end goes on into its beginning as the song itself does."""
    sound = band(RATE, 5, -20.0, channels).astype(np.float64)
    found = edited(sound, Edit(start=0.5, duration=4, loop_crossfade=crossfade)).astype(float)
    samples = round(crossfade * RATE)
    assert len(found) == 4 * RATE - samples
    # The step over the seam is the very step of the song there.
    song = np.frombuffer(pcm(sound), "<i2").reshape(-1, channels).astype(float)[4000:36000]
    assert np.abs(found[0] - song[-samples]).max() <= 1
    assert np.abs(found[-1] - song[-samples - 1]).max() == 0
    inside = np.abs(np.diff(found, axis=0)).max(axis=0)
    assert (np.abs(found[0] - found[-1]) <= inside).all()
    # Behind the crossfade it is the clip itself.
    assert np.array_equal(found[samples:], song[samples : len(song) - samples])


def test_a_loop_keeps_its_level_at_the_seam() -> None:
    """Sounds that are not alike: within half a decibel, where a straight crossfade would lose 3 in its middle."""
    found = edited(noise(12), Edit(loop_crossfade=4)).astype(float)[:, 0]
    level = np.sqrt(np.mean(found[5 * RATE :] ** 2))
    for begin in range(0, 4 * RATE, RATE // 2):
        part = np.sqrt(np.mean(found[begin : begin + RATE // 2] ** 2))
        assert 20 * np.log10(part / level) == pytest.approx(0, abs=0.5)


def test_a_loop_of_what_repeats_stays_as_it_is() -> None:
    """A tone whose tail is its head: blended by equal power alone it would swell by 3 dB."""
    tone = 0.9 * np.sin(2 * np.pi * 100 * np.arange(16000) / RATE).reshape(1, -1)
    found = edited(tone, Edit(loop_crossfade=0.5))
    assert np.abs(found.astype(float).T - tone[:, :12000] * 32767).max() < 3


def test_a_loop_that_would_overshoot_is_made_softer() -> None:
    """As a whole, by at most 3 dB, so that its highest peak just fits."""
    square = np.sign(noise(4)) * 0.95
    found = edited(square, Edit(loop_crossfade=1)).astype(float)[:, 0]
    body = np.abs(found[RATE:])
    assert body.max() - body.min() < 2
    assert 0.95 * 32767 / np.sqrt(2) - 2 <= body.max() < 0.95 * 32767
    assert np.abs(found).max() == 32767


def test_a_normalised_loop_has_no_seam() -> None:
    """Also where the limiter is at work."""
    found = edited(noise(6, level=0.05), Edit(loop_crossfade=1, normalize=-10.0)).astype(float)
    assert np.abs(found).max() <= 32768 * 10 ** (-1 / 20) + 1
    assert np.abs(found[0] - found[-1]) <= np.abs(np.diff(found, axis=0)).max()
    assert integrated((found.T / 32768).astype(np.float32), RATE) == pytest.approx(-10.0, abs=0.3)


def test_all_formats_are_files(need: Callable[[str], str], songs: Mapping[str, bytes], tmp_path: Path) -> None:
    """PyAV and ffprobe open each, with the codec that its name promises, and hear as much as was asked for."""
    for form in FORMATS.values():
        file = clip(songs["cbr192"], Edit(start=0.5, duration=1.25, normalize=True), form, Wish())
        codec, found = decoded(file, form)
        assert codec.removeprefix("lib").removesuffix("float").removesuffix("_s16le") == form.codec
        rate = 48000 if form.codec == "opus" else 44100
        # An encoder's frames can be declared away in some containers, and in others not.
        exact = form.codec in ("pcm", "flac", "opus", "mp3")
        assert found.shape[1] == pytest.approx(1.25 * rate, abs=1 if exact else 2500)
        assert integrated(found, rate) == pytest.approx(-16.0, abs=0.7)
        if form is PCM:
            continue
        path = tmp_path / f"clip.{form.name}"
        path.write_bytes(file)
        probe = [need("ffprobe"), "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)]
        said = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=True)
        assert said.stderr == ""
        assert said.stdout.strip().removesuffix("_s16le") == form.codec


def test_a_clip_knows_its_length() -> None:
    """WAV and FLAC say it in their headers, where a live stream cannot; FLAC with the checksum of its samples."""
    sound = pcm(noise(2, 2))
    song = wav_header(RATE, 2) + sound
    file = clip(song, Edit(duration=1.5), WAV, Wish())
    assert file == wav_header(RATE, 2, 48000) + sound[:48000]
    file = clip(song, Edit(duration=1.5), FLAC, Wish())
    assert int.from_bytes(file[21:26], "big") & (1 << 36) - 1 == 12000
    assert file[26:42] == hashlib.md5(sound[:48000]).digest()
    _, found = decoded(file, FLAC)
    assert pcm(found * (32768 / 32767)) == sound[:48000]


@pytest.mark.parametrize("program", ["ffmpeg", "PyAV"])
@pytest.mark.parametrize(
    ("rate", "channels", "bitrate"),
    [(44100, 2, None), (48000, 2, 320_000), (32000, 1, 64_000), (24000, 1, None), (8000, 2, 24_000)],
)
def test_an_mp3_is_as_long_as_the_clip(
    need: Callable[[str], str], tmp_path: Path, program: str, rate: int, channels: int, bitrate: int | None
) -> None:
    """To the sample, each where it stands in the clip: a loop has no silence between its end and its beginning."""
    song = wav_header(rate, channels) + pcm(melody(rate, channels, 3))
    edit, wish = Edit(start=0.5, duration=1.2345, loop_crossfade=0.25), Wish(rate, channels, bitrate)
    file = clip(song, edit, MP3, wish)
    if program == "PyAV":
        _, found = decoded(file, MP3)
    else:
        path = tmp_path / "clip.mp3"
        path.write_bytes(file)
        command = [need("ffmpeg"), "-v", "warning", "-i", str(path), "-f", "s16le", "-"]
        said = subprocess.run(command, capture_output=True, timeout=20, check=True)
        assert said.stderr == b""
        found = np.frombuffer(said.stdout, "<i2").reshape(-1, channels).T.astype(np.float32)
    _, wanted = decoded(clip(song, edit, WAV, replace(wish, bitrate=None)), WAV)
    assert found.shape == wanted.shape
    for part in (slice(None), slice(2000), slice(-2000, None)):
        assert np.corrcoef(found[0, part], wanted[0, part])[0, 1] > 0.98


def test_it_is_cut_at_the_rate_that_is_heard() -> None:
    """A loop at another rate and in mono: as long as it must be there, and without a seam."""
    song = wav_header(44100, 2) + pcm(band(44100, 3, -20.0))
    file = clip(song, Edit(start=0.5, duration=2, loop_crossfade=0.25), WAV, Wish(sample_rate=16000, channels=1))
    _, found = decoded(file, WAV)
    assert found.shape == (1, 28000)
    assert np.abs(found[0, 0] - found[0, -1]) <= np.abs(np.diff(found[0])).max()


def test_the_song_is_half_there(songs: Mapping[str, bytes]) -> None:
    """Its bytes end somewhere in a frame: what is there can be cut, and what is not there is said."""
    half = songs["cbr192"][: len(songs["cbr192"]) // 2 + 100]
    _, found = decoded(clip(half, Edit(), WAV, Wish()), WAV)
    assert 0.8 * 44100 < found.shape[1] < 1.1 * 44100
    _, whole = decoded(clip(songs["cbr192"], Edit(), WAV, Wish()), WAV)
    assert np.array_equal(found[:, :40000], whole[:, :40000])
    with pytest.raises(ClipError, match=r"at 1\.5 s: only the first \d\.\d+ s") as refused:
        clip(half, Edit(start=1.5), MP3, Wish())
    assert refused.value.field == "start"


def test_nothing_is_there_yet(songs: Mapping[str, bytes]) -> None:
    """Not a byte, or no whole frame; of a single one there is all that it holds."""
    assert len(clip(songs["bare"][:627], Edit(), PCM, Wish())) == 1152 * 4
    for song in (b"", songs["bare"][:300]):
        with pytest.raises(ClipError, match="no sound of this song yet"):
            clip(song, Edit(), MP3, Wish())
    with pytest.raises(UnknownFormat):
        clip(b"<html>" * 20000, Edit(), MP3, Wish())


def test_float_wav_is_read_as_what_it_is() -> None:
    """Its samples are no integers; peaks above full scale are cut there."""
    sound = noise(1).astype("<f4")
    head = bytearray(wav_header(RATE, 1))
    head[20:22], head[32:36] = b"\x03\0", b"\x04\0\x20\0"
    assert (
        clip(bytes(head) + sound.T.tobytes(), Edit(duration=0.5), PCM, Wish())[:8] == pcm(sound * (32768 / 32767))[:8]
    )


def test_limits(songs: Mapping[str, bytes]) -> None:
    """A clip without a duration is refused where it comes out too long, one that just fits is not."""
    song = wav_header(RATE, 1) + bytes(2 * RATE * 3)
    with pytest.raises(ClipError, match="at most 2 s long; this one needs a duration") as refused:
        clip(song, Edit(start=0.5), WAV, Wish(), longest=2)
    assert refused.value.field == "duration"
    with pytest.raises(ClipError, match=r"not 2\.5"):
        clip(song, Edit(duration=2.5), WAV, Wish(), longest=2)
    assert len(clip(song, Edit(start=1), WAV, Wish(), longest=2)) == 44 + 2 * 2 * RATE
    assert len(clip(song, Edit(duration=2), WAV, Wish(), longest=2)) == 44 + 2 * 2 * RATE
    with pytest.raises(UnsupportedFormat):
        clip(song, Edit(), MP4, Wish(sample_rate=1000))


def test_the_wish_for_a_loudness_is_heard_in_the_clip() -> None:
    """As if the edit had said so; the edit's own word goes first."""
    song = wav_header(RATE, 1) + pcm(band(RATE, 4, -30.0, 1))
    _, found = decoded(clip(song, Edit(), WAV, Wish(loudness=-20.0)), WAV)
    assert integrated(found, RATE) == pytest.approx(-20.0, abs=0.2)
    _, found = decoded(clip(song, Edit(normalize=-24.0), WAV, Wish(loudness=-20.0)), WAV)
    assert integrated(found, RATE) == pytest.approx(-24.0, abs=0.2)

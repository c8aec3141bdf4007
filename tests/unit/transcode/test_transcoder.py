"""Tests of the transcoder on clean songs: every input to every output, whole and exact.

Invariant under test: what is heard is the song, at its place and of its length; packets do not depend on slices.
Golden truth is PyAV's decode of the whole input; damage and taking up again have files of their own.
"""

import os
import random
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.packets import heard, likeness, melody, read, s16, wav
from transcode.errors import EncodeError, UnknownFormat
from transcode.formats import PCM, StreamFormat
from transcode.framer import Framer
from transcode.packet import Packet
from transcode.samples import as_s16
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder

Sound = NDArray[np.float64]

WAVS = ["u8", "s16", "s24", "s32", "f32", "extensible"]
LOSSY = [
    EncoderSpec("opus", 48000, 2, 256000),
    EncoderSpec("aac", 44100, 2, 128000),
    EncoderSpec("aac", 24000, 1, 64000),
    EncoderSpec("mp3", 44100, 2, 160000),
    EncoderSpec("mp3", 24000, 1, 64000),
]


def encode(data: bytes, spec: EncoderSpec, **options: StreamFormat) -> tuple[list[Packet], Transcoder]:
    """All packets of a song fed in slices of about 250 ms."""
    transcoder = Transcoder(spec, **options)
    packets = [p for at in range(0, len(data), 6000) for p in transcoder.feed(data[at : at + 6000])]
    return packets + transcoder.flush(), transcoder


def pick(data: bytes, spec: EncoderSpec, sizes: tuple[int, ...], **options: StreamFormat) -> list[Packet]:
    """All packets of a song fed in slices of random ones of `sizes`."""
    transcoder, draw = Transcoder(spec, **options), random.Random(4)
    packets, at = [], 0
    while at < len(data):
        size = draw.choice(sizes)
        packets += transcoder.feed(data[at : at + size])
        at += size
    return packets + transcoder.flush()


def listen(data: bytes, spec: EncoderSpec, **options: StreamFormat) -> Sound:
    packets, transcoder = encode(data, spec, **options)
    assert transcoder.config is not None
    assert transcoder.errors == 0
    return heard(packets, transcoder.config)


@pytest.fixture(scope="module")
def truth(songs: Mapping[str, bytes]) -> Mapping[str, Sound]:
    """What PyAV hears in each song, without the padding that it leaves at some ends."""
    trimmed = {}
    for name, song in songs.items():
        sound = read(song, "mp3")
        whole = name in ("bare", "cover")
        trimmed[name] = sound if whole else sound[:, : int(sound.shape[1] / _rate(name)) * _rate(name)]
    return trimmed


def _rate(name: str) -> int:
    return {"cbr320": 48000, "mono24k": 24000, "mono16k": 16000, "mono8k": 8000}.get(name, 44100)


@pytest.mark.parametrize("name", ["bare", "cbr128", "vbr", "cbr320", "mono24k", "mono16k", "mono8k", "id3v1", "cover"])
@pytest.mark.parametrize("codec", ["pcm", "flac"])
def test_mp3_to_what_loses_nothing(
    songs: Mapping[str, bytes], truth: Mapping[str, Sound], name: str, codec: str
) -> None:
    """At its own rate, sample for sample what the whole file decodes to, rounded to 16 bits."""
    expected = truth[name]
    found = listen(songs[name], EncoderSpec(codec, _rate(name), len(expected), None))
    assert found.shape == expected.shape
    assert np.array_equal(found * 32768, as_s16(expected.astype(np.float32)))


@pytest.mark.parametrize("coding", WAVS)
@pytest.mark.parametrize("codec", ["pcm", "flac"])
def test_wav_to_what_loses_nothing(coding: str, codec: str) -> None:
    """Sample for sample, rounded to 16 bits where there are more."""
    file = wav(melody(32000, 2, 0.5), 32000, coding)
    found = listen(file, EncoderSpec(codec, 32000, 2, None))
    assert np.array_equal(found * 32768, as_s16(read(file, "wav").astype(np.float32)))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_wav_that_does_not_know_its_length(size: int) -> None:
    """All of its samples are heard."""
    sound = melody(24000, 1, 0.5)
    found = listen(wav(sound, 24000, size=size), EncoderSpec("pcm", 24000, 1, None))
    assert found.tobytes() == (np.frombuffer(s16(sound), "<i2")[np.newaxis] / 32768).tobytes()


@pytest.mark.parametrize("spec", LOSSY, ids=lambda spec: f"{spec.codec}{spec.sample_rate}")
@pytest.mark.parametrize("source", ["mp3", "vbr", "wav", "raw"])
def test_what_is_lossy_sounds_like_the_song(
    songs: Mapping[str, bytes], truth: Mapping[str, Sound], spec: EncoderSpec, source: str
) -> None:
    """At the song's rate and others: at its place, and of its length to the sample."""
    tune, options, rate = melody(44100, 2, 1.0), {}, 44100
    if source == "wav":
        data = wav(tune, rate, "f32")
    elif source == "raw":
        data, options = s16(tune), {"pcm": StreamFormat(PCM, rate, 2, None)}
    else:
        name = "cbr192" if source == "mp3" else "vbr"
        data, tune = songs[name], truth[name]
    found = listen(data, spec, **options)
    expected = listen(data, EncoderSpec("flac", spec.sample_rate, spec.channels, None), **options)
    length = round(Fraction(tune.shape[1] * spec.sample_rate, rate))
    assert found.shape == expected.shape == (spec.channels, length)
    assert likeness(found, expected) >= 0.98


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (24000, 1), (8000, 1), (44100, 1), (22050, 2)])
def test_rate_and_channels_change_and_nothing_else(rate: int, channels: int) -> None:
    """PCM at another rate is the same melody, made at that rate."""
    found = listen(wav(melody(44100, 2, 0.5), 44100, "f32"), EncoderSpec("pcm", rate, channels, None))
    expected = melody(rate, 2, 0.5)
    expected = expected if channels == 2 else expected.mean(axis=0, keepdims=True)
    assert found.shape == expected.shape
    edge = rate // 100
    assert np.abs(found - expected)[:, edge:-edge].max() < 0.003


def test_16_bit_pcm_passes_untouched() -> None:
    """The very bytes, without the half sample at the end."""
    data = random.Random(6).randbytes(9002)
    packets, _ = encode(data + b"x", EncoderSpec("pcm", 24000, 1, None), pcm=StreamFormat(PCM, 24000, 1, None))
    assert b"".join(packet.data for packet in packets) == data


@pytest.mark.parametrize("spec", [*LOSSY[:2], LOSSY[3], EncoderSpec("flac", 48000, 1, None)], ids=lambda s: s.codec)
@pytest.mark.parametrize("source", ["vbr", "mono24k", "wav", "raw"])
def test_slices_do_not_matter(songs: Mapping[str, bytes], spec: EncoderSpec, source: str) -> None:
    """Byte by byte or in slices of any size, some of them empty: the same packets."""
    options = {"pcm": StreamFormat(PCM, 24000, 2, None)} if source == "raw" else {}
    tune = melody(24000, 2, 0.2)
    data = {"wav": wav(tune, 24000, "s24"), "raw": s16(tune)}.get(source) or songs[source][:12000]
    whole = pick(data, spec, (1 << 30,), **options)
    assert pick(data, spec, (0, 1, 700, 4000), **options) == whole
    if spec.codec in ("opus", "flac"):
        assert pick(data, spec, (1,), **options) == whole


def test_pcm_in_slices_is_the_same_sound(songs: Mapping[str, bytes]) -> None:
    """Its packets lie where the slices ended; joined, they are the same, and none is longer than 100 ms."""
    spec = EncoderSpec("pcm", 22050, 1, None)
    whole, sliced = pick(songs["bare"], spec, (1 << 30,)), pick(songs["bare"], spec, (1, 900))
    assert b"".join(p.data for p in whole) == b"".join(p.data for p in sliced)
    assert max(packet.duration for packet in whole) <= 2205


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        (EncoderSpec("pcm", 44100, 2, None), 1),
        (EncoderSpec("flac", 44100, 2, None), 1),
        (EncoderSpec("opus", 48000, 2, 96000), 1),
        (EncoderSpec("aac", 44100, 2, 128000), 2),
        (EncoderSpec("mp3", 44100, 2, 128000), 2),
    ],
    ids=lambda value: getattr(value, "codec", None),
)
def test_the_first_packet_comes_soon(songs: Mapping[str, bytes], spec: EncoderSpec, frames: int) -> None:
    """After so many frames of the song; aac and mp3 look a frame ahead."""
    transcoder = Transcoder(spec)
    assert any(transcoder.feed(frame.data) for frame in Framer().feed(songs["bare"])[:frames])
    assert transcoder.config is not None


def test_the_lead_is_told(songs: Mapping[str, bytes]) -> None:
    """LAME's delay and the decoder's where there is an Info frame, else nothing."""
    for name, lead in (("cbr128", 1105), ("mono8k", 1105), ("bare", 0)):
        assert encode(songs[name], EncoderSpec("pcm", 8000, 1, None))[1].lead == lead


def test_loudness_is_heard_and_takes_no_time(songs: Mapping[str, bytes]) -> None:
    """As long as without it."""
    plain, level = EncoderSpec("opus", 48000, 2, 96000), EncoderSpec("opus", 48000, 2, 96000, -30.0)
    before, after = listen(songs["vbr"], plain), listen(songs["vbr"], level)
    assert before.shape == after.shape
    assert np.abs(after).max() < np.abs(before).max()


def test_an_end_is_an_end(songs: Mapping[str, bytes]) -> None:
    """After flush or close a second one gives nothing, and feeding is refused; in the middle and at the start."""
    for size in (0, 5, 3000, 9000):
        for ending in ("flush", "close"):
            transcoder = Transcoder(EncoderSpec("aac", 44100, 2, 96000))
            transcoder.feed(songs["bare"][:size])
            getattr(transcoder, ending)()
            assert transcoder.flush() == []
            transcoder.close()
            with pytest.raises(EncodeError, match="flushed or closed"):
                transcoder.feed(b"more")


def test_what_is_no_song_is_refused() -> None:
    """And what is none yet gives nothing."""
    with pytest.raises(UnknownFormat):
        Transcoder(EncoderSpec("opus", 48000, 2, 96000)).feed(b"<html>" * 20000)
    transcoder = Transcoder(EncoderSpec("opus", 48000, 2, 96000))
    assert transcoder.feed(b"\xff\xfb") == []
    assert transcoder.flush() == []
    assert transcoder.config is None


def test_what_no_encoder_makes_is_refused(songs: Mapping[str, bytes]) -> None:
    """With the first frame, in a sentence."""
    with pytest.raises(EncodeError, match="44100"):
        Transcoder(EncoderSpec("opus", 44100, 2, 96000)).feed(songs["bare"])


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory and threads are read where Linux lists them")
def test_many_starts_and_stops_leave_nothing(songs: Mapping[str, bytes]) -> None:
    """Five hundred songs, most of them left in the middle: no thread more, and memory as after the first hundred."""
    specs = [*LOSSY, EncoderSpec("flac", 48000, 2, None), EncoderSpec("pcm", 24000, 1, None)]
    data = songs["bare"][:2600]

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    threads, memory = len(os.listdir("/proc/self/task")), 0
    for number in range(500):
        transcoder = Transcoder(specs[number % len(specs)])
        transcoder.feed(data)
        if number % 3:
            transcoder.close()
        else:
            transcoder.flush()
        if number == 100:
            memory = resident()
    assert len(os.listdir("/proc/self/task")) == threads
    assert resident() - memory < 2 << 20

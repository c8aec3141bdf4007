"""Tests of the transcoder on songs that were damaged, cut, or are none.

Invariant under test: nothing raises but what is no song from its start, most of the sound survives, time is bounded,
and where sound is missing a packet says so.
"""

import random
import time
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from tests.support.packets import heard, melody, s16, wav
from transcode.formats import PCM, StreamFormat
from transcode.framer import Framer
from transcode.packet import Packet
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder

PCM44 = EncoderSpec("pcm", 44100, 2, None)
OPUS = EncoderSpec("opus", 48000, 2, 96000)


def encode(data: bytes, spec: EncoderSpec) -> tuple[list[Packet], Transcoder]:
    transcoder = Transcoder(spec)
    packets = [p for at in range(0, len(data), 6000) for p in transcoder.feed(data[at : at + 6000])]
    return packets + transcoder.flush(), transcoder


def corrupted(data: bytes, share: float, seed: int, *, start: int = 2000) -> bytes:
    """A copy with that share of its octets behind `start` replaced."""
    octets, draw = bytearray(data), random.Random(seed)
    for _ in range(round(len(data) * share)):
        octets[draw.randrange(start, len(data))] = draw.randrange(256)
    return bytes(octets)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["bare", "cbr128", "vbr", "cbr320", "mono24k"])
def test_one_octet_in_a_hundred(songs: Mapping[str, bytes], name: str, seed: int) -> None:
    """Of two seconds most survives, though a frame in three was hit; packets stay one after the other."""
    clean, _ = encode(songs[name], PCM44)
    packets, _ = encode(corrupted(songs[name], 0.01, seed), PCM44)
    kept = sum(packet.duration for packet in packets) / sum(packet.duration for packet in clean)
    assert kept >= 0.85
    for packet, following in pairwise(packets):
        assert packet.pts + packet.duration == following.pts


def test_one_octet_in_a_hundred_of_many_songs(songs: Mapping[str, bytes]) -> None:
    """Together 95 % of the sound survives."""
    clean = kept = 0
    for name in ("bare", "cbr128", "cbr192", "vbr", "mono24k"):
        for seed in range(3):
            clean += sum(packet.duration for packet in encode(songs[name], PCM44)[0])
            kept += sum(packet.duration for packet in encode(corrupted(songs[name], 0.01, seed), PCM44)[0])
    assert kept >= 0.95 * clean


@pytest.mark.parametrize("spec", [OPUS, EncoderSpec("aac", 44100, 2, 96000), EncoderSpec("mp3", 32000, 1, 64000)])
@pytest.mark.parametrize("coding", ["f32", "s24"])
def test_a_damaged_wav_makes_no_encoder_choke(spec: EncoderSpec, coding: str) -> None:
    """What is no number, or as large as a float can be, becomes sound of some kind, and none is lost."""
    file = corrupted(wav(melody(44100, 2, 0.5), 44100, coding), 0.02, 1)
    packets, transcoder = encode(file, spec)
    assert transcoder.config is not None
    assert np.isfinite(heard(packets, transcoder.config)).all()
    assert sum(p.duration - p.padding for p in packets) - transcoder.config.delay == spec.sample_rate // 2


@pytest.mark.parametrize("spec", [OPUS, PCM44], ids=["opus", "pcm"])
def test_garbage_costs_little(songs: Mapping[str, bytes], spec: EncoderSpec) -> None:
    """A megabyte of it inside of a song, of any kind, in less than half a second; the song goes on behind it."""
    song = songs["bare"]
    for garbage in (random.Random(2).randbytes(1 << 20), bytes(1 << 20), b"\xff" * (1 << 20)):
        begun = time.process_time()
        packets, _ = encode(song[:20000] + garbage + song[20000:], spec)
        clean, _ = encode(song, spec)
        assert time.process_time() - begun < 0.5
        assert sum(p.duration for p in packets) >= 0.9 * sum(p.duration for p in clean)
        assert any(packet.discontinuity for packet in packets)


def test_lost_bytes_are_told(songs: Mapping[str, bytes]) -> None:
    """By one packet, the one in which they are missing."""
    song = songs["bare"]
    whole, _ = encode(song, OPUS)
    packets, _ = encode(song[:20000] + song[26000:], OPUS)
    assert not any(packet.discontinuity for packet in whole)
    (flagged,) = [packet for packet in packets if packet.discontinuity]
    # 192 kbit/s are 24000 octets a second.
    assert flagged.pts == pytest.approx(20000 / 24000 * 48000, abs=1.5 * 1254)


@pytest.mark.parametrize("empty", [True, False])
def test_the_caller_tells_of_a_gap(songs: Mapping[str, bytes], empty: bool) -> None:
    """Sound is missing right before those bytes, also when they are none yet."""
    song, size = songs["bare"], 626.94
    cut = round(20 * size)
    transcoder = Transcoder(OPUS)
    packets = transcoder.feed(song[:cut])
    if empty:
        packets += transcoder.feed(b"", discontinuity=True)
        packets += transcoder.feed(song[cut:])
    else:
        packets += transcoder.feed(song[cut:], discontinuity=True)
    packets += transcoder.flush()
    (flagged,) = [packet for packet in packets if packet.discontinuity]
    assert flagged.pts <= 20 * 1152 * 48000 // 44100 < flagged.pts + flagged.duration


def test_a_gap_in_raw_pcm_begins_with_a_whole_sample() -> None:
    """Half of one before it is no sample any more."""
    pcm = s16(melody(24000, 1, 0.1))
    transcoder = Transcoder(EncoderSpec("pcm", 24000, 1, None), pcm=StreamFormat(PCM, 24000, 1, None))
    packets = transcoder.feed(pcm[:101]) + transcoder.feed(pcm[200:], discontinuity=True)
    assert b"".join(packet.data for packet in packets) == pcm[:100] + pcm[200:]
    assert [packet.discontinuity for packet in packets][:2] == [False, True]


SPECS = [PCM44, OPUS, EncoderSpec("aac", 44100, 2, 128000), EncoderSpec("flac", 44100, 2, None)]
SPECS += [EncoderSpec("mp3", 44100, 2, 128000), EncoderSpec("mp3", 24000, 1, 48000)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.codec}{spec.sample_rate}")
def test_refused_frames_are_counted_and_told(songs: Mapping[str, bytes], spec: EncoderSpec) -> None:
    """Frames whose inside is no MP3 are silence, and time goes on; the packet in which the first stands says so."""
    frames = [frame.data for frame in Framer().feed(songs["bare"])]
    for number in range(20, 40):
        # Every field has its highest value: there are no such frames.
        frames[number] = frames[number][:4] + b"\xff" * (len(frames[number]) - 4)
    packets, transcoder = encode(b"".join(frames), spec)
    assert transcoder.errors == 20
    (flagged,) = [packet for packet in packets if packet.discontinuity]
    assert flagged.pts <= 20 * 1152 * spec.sample_rate // 44100 < flagged.pts + flagged.duration
    whole, _ = encode(songs["bare"], spec)
    assert [(packet.pts, packet.duration) for packet in packets] == [(packet.pts, packet.duration) for packet in whole]


def test_another_rate_in_the_middle(songs: Mapping[str, bytes]) -> None:
    """Two songs of different kinds in one go: the second at the first one's rate, as long as it is."""
    packets, transcoder = encode(songs["bare"] + songs["mono24k"], PCM44)
    seconds = sum(packet.duration for packet in packets) / 44100
    assert seconds == pytest.approx(4.0, abs=0.15)
    assert transcoder.errors == 0
    assert sum(packet.discontinuity for packet in packets) == 1


def test_a_gap_before_what_does_not_sound(songs: Mapping[str, bytes]) -> None:
    """An Info frame is none that could tell it: the next one does."""
    info = Framer().feed(songs["cbr128"])[0].data
    song = songs["cbr128"][songs["cbr128"].index(info) :]
    transcoder = Transcoder(PCM44)
    assert transcoder.feed(song[: len(info) + 4], discontinuity=True) == []
    assert transcoder.feed(song[len(info) + 4 : 9000])[0].discontinuity

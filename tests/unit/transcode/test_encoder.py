"""Tests that every encoder keeps what the door promises.

Invariant under test: packets cover the sound that was fed without hole or overlap, their bytes do not depend on how it
was cut, and what is heard of them is that sound, where it was. Golden truth is FFmpeg's decode of the packets.
"""

import os
import random
from itertools import pairwise

import numpy as np
import pytest

from tests.support.packets import heard, likeness, melody
from transcode.encoder import encoder, grid
from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block, as_s16
from transcode.spec import EncoderSpec

SPECS = [
    EncoderSpec("pcm", 44100, 2, None),
    EncoderSpec("pcm", 8000, 1, None),
    EncoderSpec("flac", 44100, 2, None),
    EncoderSpec("flac", 11025, 1, None),
    EncoderSpec("opus", 48000, 2, 96000),
    EncoderSpec("opus", 24000, 1, 64000),
    EncoderSpec("opus", 12000, 2, 96000),
    EncoderSpec("aac", 44100, 2, 128000),
    EncoderSpec("aac", 22050, 1, 32000),
    EncoderSpec("mp3", 44100, 2, 192000),
    EncoderSpec("mp3", 48000, 2, 96000),
    EncoderSpec("mp3", 24000, 1, 48000),
]
NAMES = [f"{spec.codec}{spec.sample_rate}x{spec.channels}" for spec in SPECS]


def encoded(spec: EncoderSpec, block: Block, sizes: tuple[int, ...] = (11025,)) -> tuple[list[Packet], CodecConfig]:
    """All of it in pieces of random ones of `sizes`."""
    coder, draw = encoder(spec), random.Random(5)
    packets, at = [], 0
    while at < block.shape[1]:
        size = draw.choice(sizes)
        packets += coder.encode(block[:, at : at + size])
        at += size
    return packets + coder.flush(), coder.config


def tune(spec: EncoderSpec, samples: int) -> Block:
    return melody(spec.sample_rate, spec.channels, samples / spec.sample_rate).astype(np.float32)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
@pytest.mark.parametrize("kind", ["floats", "16-bit"])
def test_what_is_heard_is_what_was_fed(spec: EncoderSpec, kind: str) -> None:
    """Exactly for FLAC and PCM, nearly for the others, and of the same length for all."""
    block = tune(spec, spec.sample_rate + 77)
    packets, config = encoded(spec, as_s16(block) if kind == "16-bit" else block)
    found = heard(packets, config)
    assert found.shape == block.shape
    if spec.codec in ("pcm", "flac"):
        assert np.array_equal(found * 32768, as_s16(block))
    else:
        assert likeness(found, block) >= 0.98
    assert config.spec == spec


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
@pytest.mark.parametrize("samples", [1, 100, 1024, 5000])
def test_packets_cover_the_sound(spec: EncoderSpec, samples: int) -> None:
    """One begins where the other ended, from before the first sample by the delay; padding is in the last one alone."""
    packets, config = encoded(spec, tune(spec, samples))
    cells = grid(spec)
    assert config.delay == cells.delay
    assert packets[0].pts == -cells.delay
    for packet, following in pairwise(packets):
        assert packet.pts + packet.duration == following.pts
        assert packet.padding == 0
        assert spec.codec == "pcm" or packet.duration == cells.frame
    assert 0 <= packets[-1].padding < packets[-1].duration
    assert packets[-1].pts + packets[-1].duration - packets[-1].padding == samples
    assert all(packet.data for packet in packets)
    assert not any(packet.discontinuity for packet in packets)


LAGGING = [spec for spec in SPECS if grid(spec).delay]


@pytest.mark.parametrize("spec", LAGGING, ids=str)
def test_to_what_lags_the_end_is_another_packet(spec: EncoderSpec) -> None:
    """Whoever waits for it to mark it as the last does not wait in vain."""
    for samples in (*range(1, 4000, 331), 1105, 1152, 2304, 9600):
        coder = encoder(spec)
        coder.encode(tune(spec, samples))
        assert coder.flush()


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_cuts_do_not_matter(spec: EncoderSpec) -> None:
    """The same packets for pieces of any size; PCM's are other ones, but the same bytes."""
    block = tune(spec, 8000)
    whole, _ = encoded(spec, block)
    for sizes in ((1000, 0, 7), (1152,)):
        pieces, _ = encoded(spec, block, sizes)
        if spec.codec == "pcm":
            assert b"".join(p.data for p in pieces) == b"".join(p.data for p in whole)
        else:
            assert pieces == whole


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_of_nothing_nothing_comes(spec: EncoderSpec) -> None:
    """No packet holds delay alone."""
    coder = encoder(spec)
    assert coder.encode(np.empty((spec.channels, 0), dtype=np.float32)) == []
    assert coder.flush() == []


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_one_begins_in_the_middle(spec: EncoderSpec) -> None:
    """Its packets lie on the grid of one that began at the start."""
    cells = grid(spec)
    coder = encoder(spec, 40 * cells.frame, 45 * cells.frame - cells.delay)
    packets = coder.encode(tune(spec, 20 * cells.frame)) + coder.flush()
    assert packets[0].pts == 40 * cells.frame - cells.delay
    assert packets[-1].pts + packets[-1].duration - packets[-1].padding == 60 * cells.frame


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted where Linux lists them")
def test_no_thread_is_started() -> None:
    """Any number at work is one thread, this one, which may run wherever it could before."""
    before, cpus = len(os.listdir("/proc/self/task")), os.sched_getaffinity(0)
    working = [encoder(spec) for spec in SPECS]
    for coder, spec in zip(working, SPECS, strict=True):
        coder.encode(tune(spec, 3000))
    assert len(os.listdir("/proc/self/task")) == before
    assert os.sched_getaffinity(0) == cpus


@pytest.mark.parametrize(
    "spec",
    [
        EncoderSpec("opus", 44100, 2, 96000),
        EncoderSpec("aac", 44101, 2, 96000),
        EncoderSpec("mp3", 96000, 2, 128000),
        EncoderSpec("mp3", 44100, 2, None),
        EncoderSpec("mp3", 44100, 2, 500000),
    ],
    ids=str,
)
def test_what_a_codec_has_not(spec: EncoderSpec) -> None:
    """Is refused in a sentence, however it came so far."""
    with pytest.raises(EncodeError, match=r"44100|44101|96000|bitrate"):
        encoder(spec)

"""Tests of the way from a song's samples to packets: where they stand on the grid, wherever the song begins.

Invariant under test: a packet holds the same sound whether the beginning of the song went through or not. FLAC shows it
to the sample. Golden truth is the line that had the whole song.
"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.packets import heard, likeness, melody
from transcode.encoder import grid
from transcode.errors import EncodeError
from transcode.line import Line, stride
from transcode.packet import Packet
from transcode.remix import resampled
from transcode.samples import Sound
from transcode.spec import EncoderSpec

FLAC = EncoderSpec("flac", 48000, 2, None)


def song(rate: int) -> NDArray[np.float32]:
    return melody(rate, 2, 1.0).astype(np.float32)


def run(line: Line, block: NDArray[np.float32], *gaps: int) -> list[Packet]:
    """The block through the line, in parts with a gap before each but the first."""
    packets = []
    for first, last in zip((0, *gaps), (*gaps, block.shape[1]), strict=True):
        packets += line.feed([Sound(block[:, first:last], first > 0)])
    return packets + line.flush()


@pytest.mark.parametrize(("rate", "exact"), [(48000, 0), (44100, 0), (44101, 48000), (22050, 0)])
def test_the_middle_stands_where_it_would(rate: int, exact: int) -> None:
    """Packets from `at` on are those of the whole song, byte for byte, where rates have a common grid in reach."""
    whole = run(Line(FLAC, rate, 2), song(rate))
    at = whole[20].pts
    if exact:
        with pytest.raises(EncodeError, match="no packet"):
            Line(FLAC, rate, 2, position=9000, at=at)
        return
    later = run(Line(FLAC, rate, 2, position=9000, at=at), song(rate)[:, 9000:])
    assert later == whole[20:]


OPUS = EncoderSpec("opus", 48000, 2, 96000)


@pytest.mark.parametrize(
    ("spec", "rate"),
    [
        (OPUS, 44100),
        (EncoderSpec("opus", 24000, 1, 64000), 22050),
        (EncoderSpec("opus", 8000, 1, 32000), 48000),
        (EncoderSpec("aac", 48000, 2, 128000), 44100),
        (EncoderSpec("aac", 22050, 1, 48000), 44101),
    ],
    ids=str,
)
def test_a_song_at_another_rate(spec: EncoderSpec, rate: int) -> None:
    """Is heard where it was and as long as it was, from one sample on, however it was cut."""
    for samples in (1, 100, 5000, rate + 77):
        block = melody(rate, spec.channels, samples / rate).astype(np.float32)
        line = Line(spec, rate, spec.channels)
        packets = run(line, block)
        length = resampled(samples, rate, spec.sample_rate)
        lasts = sum(packet.duration - packet.padding for packet in packets)
        assert lasts == (length + grid(spec).delay if length else 0)
        pieces = Line(spec, rate, spec.channels)
        cut = [pieces.feed([Sound(block[:, at : at + 1007])]) for at in range(0, samples, 1007)]
        assert [packet for made in [*cut, pieces.flush()] for packet in made] == packets
    found = heard(packets, line.config)
    assert likeness(found, melody(spec.sample_rate, spec.channels, found.shape[1] / spec.sample_rate)) >= 0.98


@pytest.mark.parametrize(("rate", "step"), [(48000, 1), (44100, 147), (11025, 147), (44101, 44101)])
def test_opus_of_the_middle_of_a_song(rate: int, step: int) -> None:
    """The packets lie where they would, and what is heard of them is what was."""
    assert stride(OPUS, rate) == step
    whole, begin = run(Line(OPUS, rate, 2), song(rate)), 300
    at = next(packet.pts for packet in whole if packet.pts >= 1000 + grid(OPUS).frame)
    if step > begin:
        with pytest.raises(EncodeError, match="no packet"):
            Line(OPUS, rate, 2, position=begin, at=at)
        return
    line = Line(OPUS, rate, 2, position=begin, at=at)
    later = run(line, song(rate)[:, begin:])
    assert [(p.pts, p.duration, p.padding) for p in later] == [
        (p.pts, p.duration, p.padding) for p in whole if p.pts >= at
    ]
    before, after = heard(whole, line.config), heard(later, line.config)
    end = slice(-(before.shape[1] - 20 * grid(OPUS).frame), None)
    assert np.corrcoef(before[0, end], after[0, end])[0, 1] > 0.99


def test_strides_are_as_short_as_can_be() -> None:
    """A sample, where there is one rate; where there are two, one that has its counterpart."""
    assert stride(EncoderSpec("pcm", 48000, 2, None), 48000) == 1
    assert stride(FLAC, 48000) == 1
    assert stride(FLAC, 44100) == stride(replace(OPUS, loudness=-16.0), 44100) == 147


def test_what_lies_before_cannot_be_made() -> None:
    """Nor a packet that is none."""
    for position, at in ((1153, 1152), (0, 1153), (0, -1)):
        with pytest.raises(EncodeError, match="no packet of flac begins at"):
            Line(FLAC, 48000, 2, position=position, at=at)


def test_no_more_is_made_than_is_wanted() -> None:
    """PCM from the very sample on, though more came before it."""
    spec = EncoderSpec("pcm", 24000, 2, None)
    packets = run(Line(spec, 48000, 2, position=1000, at=5000), song(48000)[:, 1000:])
    assert packets[0].pts == 5000
    assert sum(packet.duration for packet in packets) == 19000


def test_a_gap_is_told_where_it_is() -> None:
    """By the packet in which the sound is missing, once for each gap, and by no other."""
    packets = run(Line(FLAC, 48000, 2), song(48000), 5000, 5001, 20000)
    flagged = [packet for packet in packets if packet.discontinuity]
    assert [packet.pts for packet in flagged] == [5000 // 1152 * 1152, 20000 // 1152 * 1152]
    resampled = run(Line(OPUS, 44100, 2), song(44100), 882 * 10)
    assert [packet.pts for packet in resampled if packet.discontinuity] == [960 * 10 - 312]
    assert run(Line(FLAC, 48000, 2), song(48000)) == [
        Packet(packet.data, packet.pts, packet.duration, packet.padding) for packet in packets
    ]


def test_a_gap_before_everything() -> None:
    """The first packet tells it; where work was taken up in the middle, the first that is wanted."""
    line = Line(FLAC, 48000, 2, position=1000, at=2 * 1152)
    packets = line.feed([Sound(song(48000), True)])
    assert [packet.discontinuity for packet in packets[:3]] == [True, False, False]
    assert packets[0].pts == 2 * 1152


def test_the_loudness_changes_and_nothing_else() -> None:
    """As long as before, at the same place; softer, for a target that is far down."""
    plain = Line(EncoderSpec("flac", 48000, 1, None), 44100, 2)
    level = Line(EncoderSpec("flac", 48000, 1, None, -30.0), 44100, 2)
    before, after = run(plain, song(44100)), run(level, song(44100))
    assert [(p.pts, p.duration) for p in before] == [(p.pts, p.duration) for p in after]
    loud, soft = heard(before, plain.config), heard(after, level.config)
    assert np.abs(soft).max() < np.abs(loud).max() / 2
    assert np.corrcoef(loud[0, 9600:], soft[0, 9600:])[0, 1] > 0.95


def test_of_nothing_nothing_comes() -> None:
    """No sound, no packets; the config is there all the same."""
    line = Line(FLAC, 44100, 2)
    assert line.feed([]) == []
    assert line.feed([Sound(np.empty((2, 0), dtype=np.float32))]) == []
    assert line.flush() == []
    assert len(line.config.extradata) == 34

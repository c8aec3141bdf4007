"""Tests of the times that packets get.

Invariant under test: one after the other from the delay before the start, and at the end padding to the sample.
Golden truth is arithmetic.
"""

from transcode.encoders.grid import Grid, Timeline
from transcode.packet import Packet


def test_packets_follow_each_other() -> None:
    """From the delay before the start on."""
    line = Timeline(Grid(100, 30), 200)
    assert line.timed([b"a", b"b"]) == [Packet(b"a", 170, 100), Packet(b"b", 270, 100)]
    assert line.timed([b"c"]) == [Packet(b"c", 370, 100)]
    assert line.timed([]) == []


def test_the_last_ones_are_padded_and_what_lies_behind_is_left_out() -> None:
    """As many as are due cover the sound; what an encoder gives beyond is no part of the song."""
    line = Timeline(Grid(100, 30), 0)
    assert line.due == 0
    line.end = 170
    assert line.due == 2
    assert line.timed([b"a"]) == [Packet(b"a", -30, 100)]
    assert line.due == 1
    line.end = 171
    assert line.due == 2
    assert line.timed([b"b", b"c", b"d"], last=True) == [Packet(b"b", 70, 100), Packet(b"c", 170, 100, 99)]
    assert line.due == 0


def test_without_sound_nothing_is_due() -> None:
    """The delay alone needs no packet."""
    assert Timeline(Grid(100, 30), 500).due == 0

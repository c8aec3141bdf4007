"""What is counted together.

Invariant under test: every fault counts, some words are kept, and ends are judged late.
It must not know lines.
"""

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.reference import Claim, Reference
from tests.support.crowd import audio, message


def test_every_fault_counts_and_some_are_told() -> None:
    """Of each kind the first three."""
    group = Group("a")
    for number in range(5):
        group.fault("lost", str(number))
    group.fault("bytes", "x")
    assert group.faults.counts == {"lost": 5, "bytes": 1}
    assert group.faults.words == ["lost: 0", "lost: 1", "lost: 2", "bytes: x"]


def test_ends_are_judged_once_all_have_been_read() -> None:
    """What was not known when the end came may be known then."""
    group, log = Group("a"), Reference()
    group.over(log, Claim(1, 1))
    group.over(log, Claim(2, 1))
    log.add(0, audio(0, b"x"), message(0, b"x"), 1.0)
    group.judge()
    group.judge()
    assert (group.ended, group.whole, group.faults.counts) == (2, 1, {"end": 1})


def test_a_mark_begins_anew() -> None:
    """With what came, not with what was wrong."""
    group = Group("a", frames=3, size=4, silence=5.0, joined=6)
    for _ in range(2):
        group.mark()
        assert group.heard == 3
    group.frames += 2
    assert group.heard == 5
    group.mark()
    assert (group.frames, group.size, group.silence, group.joined) == (0, 0, 0.0, 6)

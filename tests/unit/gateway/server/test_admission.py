"""Admission as numbers: who is refused at which count, when memory is over its mark, and when it is under it again.

Invariant under test: what is counted is what is there at that moment; nobody is asked to come back at the same time.
It must not know doors or sockets.
"""

import pytest

from gateway.errors import ServiceError
from gateway.server.admission import MARGIN, Admission, capacity, files_for
from metrics.recorder import Recorder
from tests.support.server import Room


def refused(recorder: Recorder, reason: str) -> float:
    return recorder.registry.get_sample_value("wavegate_refusals_total", {"reason": reason}) or 0.0


def test_the_last_place_is_given_and_the_next_is_not() -> None:
    """The connection that asks is one of those that are there; a place that is free again can be had."""
    room, recorder = Room(limit=2), Recorder()
    admission = room.admission(recorder)
    for room.occupied in (1, 2):
        admission.check_newcomer()
    room.occupied = 3
    with pytest.raises(ServiceError) as error:
        admission.check_newcomer()
    assert (error.value.code, error.value.close_reason()) == ("overloaded", "overloaded;retry_after_ms=2000")
    assert refused(recorder, "connections") == 1.0
    room.occupied = 2
    admission.check_newcomer()


def test_the_port_says_no_only_past_the_margin() -> None:
    """Up to there the doors say it; a connection that has just come is not counted yet."""
    room, recorder = Room(limit=2), Recorder()
    admission = room.admission(recorder)
    room.occupied = 2 + MARGIN - 1
    assert admission.crowded() is None
    room.occupied += 1
    refusal = admission.crowded()
    assert refusal is not None
    assert refusal.code == "overloaded"
    assert refused(recorder, "connections") == 1.0


def test_without_limits_nobody_is_refused() -> None:
    """0 is no limit, of either kind."""
    room = Room(occupied=10**6, resident=10**12)
    admission = room.admission(Recorder())
    admission.check_newcomer()
    admission.check_order()
    assert admission.crowded() is None
    assert admission.full() == []


def test_memory_is_over_until_it_is_well_below() -> None:
    """Over at the first byte past the mark, and until 95 % of it: it does not open and close with every song."""
    room, recorder = Room(memory=1000, resident=1000), Recorder()
    admission = room.admission(recorder)
    admission.check_order()
    for resident, over in ((1001, True), (951, True), (950, False), (1000, False), (1001, True)):
        room.resident = resident
        room.clock.at += 0.5
        assert admission.full() == (["memory"] if over else [])
        if over:
            for check in (admission.check_order, admission.check_newcomer):
                with pytest.raises(ServiceError) as error:
                    check()
                assert error.value.code == "overloaded"
        else:
            admission.check_newcomer()
    assert refused(recorder, "memory") == 6.0
    assert admission.crowded() is None


def test_memory_is_looked_at_twice_a_second_at_most() -> None:
    """In between, the last look counts."""
    looks: list[int] = []
    room = Room(memory=10)
    admission = Admission(0, 10, lambda: 0, lambda: looks.append(1) or 5, Recorder(), room.clock)
    for _ in range(5):
        admission.check_order()
        room.clock.at += 0.125
    assert len(looks) == 2


def test_what_is_full_is_told_before_somebody_is_refused() -> None:
    """With the last place taken, work is better sent elsewhere."""
    room = Room(limit=2, memory=10, occupied=1)
    admission = room.admission(Recorder())
    assert admission.full() == []
    room.occupied, room.resident = 2, 11
    room.clock.at += 1
    assert admission.full() == ["connections", "memory"]


def test_nobody_comes_back_at_the_same_time() -> None:
    """Each is given a moment of its own."""
    admission = Admission(1, 0, lambda: 1 + MARGIN, lambda: 0, Recorder(), Room().clock)
    moments = {refusal.retry_after for _ in range(20) if (refusal := admission.crowded())}
    assert len(moments) > 10
    assert all(moment is not None and 2.0 <= moment <= 10.0 for moment in moments)


@pytest.mark.parametrize(
    ("wished", "files", "given"),
    [
        (20000, None, 20000),
        (0, None, 0),
        (20000, 21024, 20000),
        (20000, 20000, 18976),
        (20000, 1024, 768),
        (100, 1024, 100),
        (0, 1024, 768),
        (0, 100000, 98976),
        (20000, 1, 1),
    ],
)
def test_connections_are_held_to_the_files_that_may_be_open(wished: int, files: int | None, given: int) -> None:
    """Some files remain for what else is open; a limit of none becomes the one that files set."""
    assert capacity(wished, files) == given


def test_files_are_wanted_for_everything() -> None:
    """For the connections and for what is open beside them; with no limit, as many as the system knows."""
    assert files_for(100) == 1124
    assert capacity(20000, files_for(20000)) == 20000
    assert files_for(0) == 1 << 20

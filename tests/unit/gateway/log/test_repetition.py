"""Repetitions: the first are written, the rest is counted, the count is told, and memory has an end.

Invariant: time is a number that the test chooses.
They must not know how a line looks.
"""

import logging
from typing import Any

from gateway.log.repetition import Repetition


def record(name: str, level: int = logging.WARNING, fault: type[Exception] | None = None, **fields: Any) -> Any:
    trouble = None if fault is None else (fault, fault(), None)
    made = logging.LogRecord("wavegate.test", level, __file__, 1, name, (), trouble)
    made.__dict__["fields"] = fields
    return made


def told(repetition: Repetition, now: float) -> list[tuple[str, int]]:
    return [(record.msg, record.__dict__["fields"]["repeated"]) for record in repetition.due(now)]


def test_a_burst_is_written_and_the_rest_is_counted() -> None:
    """Nothing is lost: what was written and what the summary tells are all there were; then it begins anew."""
    some = Repetition(burst=3, seconds=10.0)
    assert some.wait(0.0) is None
    passed = [some.passes(record("redis.away", reason="x"), 1.0 + number / 10) for number in range(20)]
    assert passed == [True] * 3 + [False] * 17
    assert (some.held, some.wait(5.0)) == (17, 6.0)
    assert told(some, 10.9) == []
    (summary,) = some.due(11.0)
    assert summary.__dict__["fields"] == {"reason": "x", "repeated": 17, "within_seconds": 10.0}
    assert (summary.levelno, summary.name, summary.exc_info) == (logging.WARNING, "wavegate.test", None)
    assert (some.kinds, told(some, 50.0)) == (0, [])
    assert some.passes(record("redis.away", reason="x"), 51.0)


def test_what_is_late_is_still_counted() -> None:
    """Where nobody has fetched the summary yet, the next one belongs to it; an old window without one is over."""
    some = Repetition(burst=1, seconds=10.0)
    assert [some.passes(record("redis.back"), now) for now in (0.0, 1.0, 30.0)] == [True, False, False]
    assert told(some, 30.0) == [("redis.back", 2)]
    assert [some.passes(record("redis.back"), now) for now in (31.0, 41.5, 42.0)] == [True, True, False]


def test_kinds() -> None:
    """The event, its key, its level and its exception tell them apart; other fields do not."""
    some = Repetition(burst=1, seconds=10.0)
    assert some.passes(record("request.refused", code="a", tenant="t", client="1"), 0.0)
    assert not some.passes(record("request.refused", code="a", tenant="t", client="2"), 0.0)
    assert some.passes(record("request.refused", code="b", tenant="t"), 0.0)
    assert some.passes(record("request.refused", logging.ERROR, code="b", tenant="t"), 0.0)
    assert some.passes(record("request.failed", logging.ERROR, KeyError), 0.0)
    assert some.passes(record("request.failed", logging.ERROR, ValueError), 0.0)
    assert not some.passes(record("request.failed", logging.ERROR, ValueError), 0.0)


def test_some_are_always_written() -> None:
    """A line a stream is a line a stream."""
    some = Repetition(burst=1)
    assert all(some.passes(record("stream.ended"), 0.0) for _ in range(100))
    assert some.kinds == 0


def test_what_a_library_says() -> None:
    """Is told apart by its text as written in the code; what cannot be told apart counts as one."""
    some = Repetition(burst=1)
    assert some.passes(record("%s is slow"), 0.0)
    assert not some.passes(record("%s is slow"), 0.0)
    assert some.passes(record("another"), 0.0)
    assert some.passes(record(["no", "text"]), 0.0)  # type: ignore[arg-type]  # a library may do this
    assert not some.passes(record(["no", "text"]), 0.0)  # type: ignore[arg-type]  # a library may do this


def test_memory_has_an_end() -> None:
    """An attacker thinks of ever new keys: beyond the limit they count as one for each event; none is lost."""
    some = Repetition(burst=2, seconds=10.0, most=50)
    passed = sum(some.passes(record("request.refused", code=str(number), tenant=""), 1.0) for number in range(5000))
    assert passed == 52
    assert some.kinds == 51
    assert some.passes(record("redis.away", logging.ERROR, reason="first"), 1.0)
    assert sum(some.passes(record(f"library {number}"), 1.0) for number in range(100)) == 2
    assert sum(count for _, count in told(some, 12.0)) == 5000 - 52 + 98
    assert some.kinds == 0

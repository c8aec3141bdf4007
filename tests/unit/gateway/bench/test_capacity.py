"""What a processor carries, from what a worker took.

Invariant under test: the figures are for one encode and one second of audio.
It must not start a worker: that is tried with the whole bench.
"""

import pytest

from gateway.bench.capacity import rows


def test_the_arithmetic() -> None:
    """5 s for 500 s of audio are 10 ms/s, or a hundred encodes."""
    each, many, late = rows(5.0, 500.0, 50, [0.004] * 99 + [0.2])
    assert (each.value, each.verdict) == (pytest.approx(10), "ok")
    assert (many.value, many.verdict) == (pytest.approx(100), "ok")
    assert (late.value, late.verdict, late.spread) == (pytest.approx(4), "ok", "at most 200")


def test_too_much_is_below() -> None:
    """25 ms/s are 40 encodes; what took no time that could be told carries nothing that could be told."""
    assert [row.verdict for row in rows(25.0, 1000.0, 50, [0.5])] == ["over", "below", "over"]
    assert rows(0.0, 10.0, 1, [0.001])[1].value == 0

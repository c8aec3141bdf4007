"""What is made of rushes: one that started too many or too few is found.

Invariant under test: only ten of two hundred is right.
It must not judge the gateway: test_money has it rushed.
"""

import pytest

from gateway.bench.rush import Rushes, rush_rows


@pytest.mark.parametrize(
    ("started", "verdicts"),
    [
        ([10, 10, 10], ["", "ok", "ok", "ok"]),
        ([10, 11, 10], ["", "over", "ok", "ok"]),
        ([10, 9, 12], ["", "over", "over", "ok"]),
        ([], ["", "ok", "ok", "ok"]),
    ],
)
def test_ten_of_each_is_right(started: list[int], verdicts: list[str]) -> None:
    """And nothing else."""
    found = rush_rows(Rushes(started, {"concurrency_exceeded": 190}), 0)
    assert [row.verdict for row in found] == verdicts
    assert "190 concurrency_exceeded" in found[0].spread


def test_a_lease_that_is_left_is_found() -> None:
    """After the last rush there is none."""
    assert rush_rows(Rushes([10]), 1)[-1].verdict == "over"

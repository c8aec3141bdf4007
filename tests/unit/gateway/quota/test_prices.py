"""Tests of the table of prices: by the second, by the character, or not at all.

Invariant under test: a cost is a whole number of millionths.
It must not know who pays.
"""

import pytest

from gateway.quota.prices import Price, Prices

PRICES = Prices({"song": Price(per_second=0.02), "speech": Price(per_character=0.0001), "both": Price(1.0, 2.0)})


@pytest.mark.parametrize(
    ("model", "milliseconds", "characters", "cost"),
    [
        ("song", 1500, None, 30_000),
        ("song", 1, 99, 20),
        ("speech", 1500, 7, 700),
        ("speech", 1500, None, 0),
        ("both", 2000, 3, 8_000_000),
        ("unknown", 1500, 7, 0),
    ],
)
def test_costs(model: str, milliseconds: int, characters: int | None, cost: int) -> None:
    """Each row of the table, and a model without one."""
    assert PRICES.cost(model, milliseconds, characters) == cost


def test_no_table() -> None:
    """Without prices everything is free."""
    assert Prices().cost("song", 10**9, 10**9) == 0

"""Orders and answers as lines.

Invariant under test: what is said on one side is understood on the other.
It must not know who carries them out.
"""

import pytest

from gateway.bench.crowd import orders


@pytest.mark.parametrize(
    "order",
    [
        orders.Join(group="a", door="http", url="http://x", count=3, streams=("s", "t"), since=2.5),
        orders.Mark(),
        orders.Report(),
        orders.End(seconds=3.0),
        orders.Leave("a"),
        orders.Churn(url="http://x", key="k", streams=("s",), listeners=3, seconds=1.0, seed=4),
    ],
)
def test_an_order_is_understood(order: orders.Order) -> None:
    """As what it is, in one line."""
    said = orders.encode(order)
    assert b"\n" not in said
    assert orders.decoder.decode(said) == order

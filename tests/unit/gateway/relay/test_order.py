"""Tests of what is ordered.

Invariant under test: what is not said is the usual, and no two orders share their warnings.
It must not know who carries an order out.
"""

from gateway.relay.order import Order
from tests.support.relay import BUYER, song


def test_the_usual_order() -> None:
    """A generation of its own, to its end."""
    order, other = Order(BUYER, song()), Order(BUYER, song())
    assert (order.share, order.grace, order.warnings) == (False, None, [])
    order.warnings.append("a warning")
    assert other.warnings == []

"""Tests of a row and what can become of it: pure values in, pure values out.

Invariant under test: what a row takes of the budget is what was reserved or received until it is settled, then what
was settled; an end is final. Whole lives are in the contract suite.
It must not know a store.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounting import State, Traffic
from gateway.model import Status
from gateway.quota import entry as entries
from gateway.quota.bucket import SECOND
from gateway.quota.entry import Entry
from gateway.quota.prices import Prices
from tests.support.ledger import PRICES, completed, ended, order

LEASE = 60 * SECOND


def opened(reserved: int = 5000) -> Entry:
    return entries.opened(order(1), reserved, LEASE, 1000)


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 1000), (0.0004, 0), (0.0006, 1), (-3.0, 0), (12.3456, 12346)])
def test_milliseconds(seconds: float, expected: int) -> None:
    """To the nearest; never less than 0."""
    assert entries.milliseconds(seconds) == expected


def test_a_new_row() -> None:
    """It holds a slot, its reservation, and a lease from now."""
    entry = opened()
    assert (entry.open, entry.charge, entry.expires_at, entry.status) == (True, 5000, 1000 + LEASE, State.QUEUED)


def test_beginning() -> None:
    """It runs; an ended row learns the provider's name for it and stays ended."""
    assert entries.begun(opened(), "req").status is State.RUNNING
    over = entries.settled(opened(), completed(1.0), PRICES, 2000)
    again = entries.begun(over, "req")
    assert (again.status, again.request_id) == (State.COMPLETED, "req")


def test_renewing() -> None:
    """A whole lease from then on; what was received never shrinks, and is charged where it is more than reserved."""
    entry = entries.renewed(entries.renewed(opened(), 6000, 2000), 4000, 3000)
    assert (entry.received, entry.charge, entry.expires_at) == (6000, 6000, 3000 + LEASE)
    assert entries.extended(entry, 2000).charge == 7000


def test_a_lease_that_is_over() -> None:
    """It is charged what was received, ended when its lease did, and can be opened as if nothing had been."""
    entry = entries.renewed(opened(), 1500, 1000)
    over = entries.lapsed(entry, PRICES, 1000 + LEASE)
    assert (over.status, over.settled, over.refunded, over.finished_at) == (State.EXPIRED, 1500, 3500, 1000 + LEASE)
    assert (over.cost, over.charge, over.open) == (30_000, 1500, False)
    again = entries.reopened(over, 1600, 5000 + LEASE)
    assert (again.charge, again.cost, again.refunded, again.finished_at) == (5000, 0, 0, None)
    assert (again.received, again.expires_at) == (1600, 5000 + 2 * LEASE)
    later = entries.outlived(over, 2500, PRICES)
    assert (later.settled, later.refunded, later.status) == (2500, 2500, State.EXPIRED)


def test_a_lease_from_the_future() -> None:
    """A clock that was put back leaves a lease of ordinary length."""
    entry = entries.lapsed(opened(), PRICES, 1000 - 3600 * SECOND)
    assert (entry.open, entry.expires_at) == (True, 1000 - 3600 * SECOND + LEASE)


@given(
    status=st.sampled_from([Status.COMPLETED, Status.FAILED, Status.CANCELLED]),
    received=st.floats(0, 1e6),
    billed=st.none() | st.floats(0, 1e6),
)
def test_an_end_is_final(status: Status, received: float, billed: float | None) -> None:
    """Whatever is said after it; and only a whole song is charged by the provider's word."""
    over = entries.settled(opened(), ended(status, received, billed), Prices(), 2000)
    expected = billed if status is Status.COMPLETED and billed is not None else received
    assert over.settled == over.charge == entries.milliseconds(expected)
    assert over.refunded == max(0, 5000 - over.settled)
    assert entries.settled(over, completed(9.0, 9.0), PRICES, 3000) is over


def test_listeners() -> None:
    """What they take adds up, also after the end."""
    over = entries.settled(opened(), completed(1.0), PRICES, 2000)
    heard = entries.heard(entries.heard(over, Traffic(over.stream_id, 1.5, 10)), Traffic(over.stream_id, 0.5, 5))
    assert (heard.listened, heard.egress, heard.charge) == (2000, 15, 1000)


def test_what_is_shown() -> None:
    """Seconds and units of the currency."""
    running = entries.shown(opened())
    assert (running.reserved, running.finished_at, running.created_at) == (5.0, None, 0.001)
    over = entries.shown(entries.settled(opened(), completed(1.5), PRICES, SECOND))
    assert (over.settled, over.refunded, over.finished_at, over.cost) == (1.5, 3.5, 1.0, 0.03)

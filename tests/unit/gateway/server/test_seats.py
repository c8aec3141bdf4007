"""Places of a tenant: taken, refused past the limit, and free again whatever happened in between.

Invariant under test: a place is somebody's; leaving twice frees one.
It must not know who sits there.
"""

import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.model import TenantId
from gateway.server.seats import Seats
from metrics.recorder import Recorder

ACME, OTHER = TenantId("acme"), TenantId("other")


def seats(connections: int, recorder: Recorder | None = None) -> Seats[object]:
    return Seats(lambda _: Limits(connections=connections), recorder or Recorder(), lambda low, high: high)


def test_a_tenant_has_so_many_places_and_no_other_is_touched() -> None:
    """The one past the limit is told when to come back, and counted."""
    recorder = Recorder()
    rows = seats(2, recorder)
    first, second, third = object(), object(), object()
    rows.take(ACME, first)
    rows.take(ACME, second)
    for refuses in (lambda: rows.check(ACME), lambda: rows.take(ACME, third)):
        with pytest.raises(LimitError) as error:
            refuses()
        assert (error.value.code, error.value.retry_after) == ("concurrency_exceeded", 10.0)
    rows.take(OTHER, third)
    assert (rows.taken(ACME), rows.taken(OTHER)) == (2, 1)
    labels = {"tenant": "acme", "reason": "connections"}
    assert recorder.registry.get_sample_value("wavegate_quota_rejections_total", labels) == 2.0


def test_a_place_is_free_when_its_holder_leaves_and_only_then() -> None:
    """Whoever holds none frees none, and leaving twice frees one."""
    rows = seats(2)
    first, second, third = object(), object(), object()
    rows.leave(ACME, first)
    rows.take(ACME, first)
    rows.take(ACME, second)
    rows.leave(ACME, third)
    assert rows.taken(ACME) == 2
    rows.leave(ACME, first)
    rows.leave(ACME, first)
    rows.take(ACME, third)
    with pytest.raises(LimitError):
        rows.check(ACME)
    rows.leave(ACME, second)
    rows.leave(ACME, third)
    assert rows.taken(ACME) == 0


def test_nought_is_no_limit() -> None:
    """0 lets everybody in."""
    rows = seats(0)
    for _ in range(1000):
        rows.take(ACME, object())
    assert rows.taken(ACME) == 1000


def test_who_is_there_can_be_told_something() -> None:
    """Those of one tenant, as they are at this moment: whoever leaves meanwhile changes nothing of the list."""
    rows = seats(0)
    first, second = object(), object()
    rows.take(ACME, first)
    rows.take(ACME, second)
    there = rows.holders(ACME)
    rows.leave(ACME, first)
    assert set(there) == {first, second}
    assert (rows.holders(ACME), rows.holders(OTHER)) == ([second], [])


def test_everybody_is_who_holds_a_place_of_any_tenant() -> None:
    """And nobody else."""
    rows = seats(0)
    holders = [object() for _ in range(3)]
    for tenant, holder in zip((ACME, ACME, OTHER), holders, strict=True):
        rows.take(tenant, holder)
    rows.leave(ACME, holders[0])
    assert rows.everybody() == holders[1:]

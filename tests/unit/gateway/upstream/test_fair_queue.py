"""Fairness: what waiting tenants are served, by weight, whatever each of them has waiting.

Invariant under test: a crowd of one tenant delays nobody else, absence earns no credit, and the order that is told is
the order in which they are served.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.fair_queue import FairQueue

Waiting = tuple[str, int]


def filled(**counts: int) -> FairQueue[str, Waiting]:
    queue: FairQueue[str, Waiting] = FairQueue()
    for key, count in counts.items():
        for number in range(count):
            queue.push(key, (key, number))
    return queue


def drained(queue: FairQueue[str, Waiting]) -> list[Waiting]:
    return [queue.pop() for _ in range(len(queue))]


def test_a_crowd_does_not_delay_a_single_one() -> None:
    """Who comes behind a hundred of another tenant is second."""
    queue = filled(crowd=100, single=1)
    assert [queue.pop() for _ in range(3)] == [("crowd", 0), ("single", 0), ("crowd", 1)]


def test_a_tenant_s_own_order_is_that_of_arrival() -> None:
    """Within a lane first come is first served, and one that is put first is before them all."""
    queue = filled(a=3)
    queue.push("a", ("a", 9), first=True)
    assert drained(queue) == [("a", 9), ("a", 0), ("a", 1), ("a", 2)]


def test_coming_back_is_no_advantage() -> None:
    """Who is served, leaves and comes back at once does not overtake a tenant that kept waiting."""
    queue = filled(a=1, b=3)
    assert queue.pop() == ("a", 0)
    queue.push("a", ("a", 1))
    assert drained(queue) == [("b", 0), ("b", 1), ("a", 1), ("b", 2)]


def test_absence_earns_nothing() -> None:
    """Who comes late shares from then on, and does not catch up on what others were served before."""
    queue = filled(a=10)
    for _ in range(5):
        queue.pop()
    for number in range(5):
        queue.push("b", ("b", number))
    assert "".join(key for key, _ in drained(queue)) == "bababababa"


def test_who_no_longer_waits_is_out_at_once() -> None:
    """Removing frees the place, costs the lane nothing, and a second time is told apart."""
    queue = filled(a=2, b=1)
    assert queue.remove("a", ("a", 0))
    assert not queue.remove("a", ("a", 0))
    assert not queue.remove("c", ("c", 0))
    assert (len(queue), queue.waiting("a"), queue.waiting("c")) == (2, 1, 0)
    assert drained(queue) == [("a", 1), ("b", 0)]


def test_nothing_is_remembered_of_an_empty_queue() -> None:
    """Tenants that come and go leave no trace: neither when it empties nor while it is busy."""
    queue = filled(busy=5)
    for number in range(1000):
        queue.push(f"t{number}", (f"t{number}", 0))
        queue.push("busy", ("busy", 5 + number))
        queue.pop()
        queue.pop()
    assert len(queue._left) < 10
    drained(queue)
    assert not queue._left
    assert not queue._lanes


KEYS = "abcd"
STEPS = st.lists(
    st.tuples(st.sampled_from(["push", "push", "first", "pop", "remove"]), st.sampled_from(KEYS)), max_size=80
)
WEIGHTS = st.fixed_dictionaries({key: st.sampled_from([0.5, 1.0, 2.0, 3.0]) for key in KEYS})


@given(weights=WEIGHTS, steps=STEPS)
def test_the_order_told_is_the_order_served(weights: dict[str, float], steps: list[tuple[str, str]]) -> None:
    """After any history of arrivals, departures and services, `order` is what `pop` then does."""
    queue: FairQueue[str, Waiting] = FairQueue(weights.__getitem__)
    waiting: list[Waiting] = []
    for number, (step, key) in enumerate(steps):
        mine = [item for item in waiting if item[0] == key]
        if step == "pop" and waiting:
            waiting.remove(queue.pop())
        elif step == "remove" and mine:
            assert queue.remove(key, mine[0])
            waiting.remove(mine[0])
        elif step in ("push", "first"):
            queue.push(key, (key, number), first=step == "first")
            waiting.append((key, number))
    order = queue.order()
    assert sorted(order) == sorted(waiting)
    if order:
        assert queue.head() == (order[0][0], order[0])
    assert drained(queue) == order


@given(weights=WEIGHTS, start=st.lists(st.sampled_from(KEYS), max_size=20), services=st.integers(1, 60))
def test_what_waiting_tenants_are_served_differs_by_one_by_weight(
    weights: dict[str, float], start: list[str], services: int
) -> None:
    """While all wait, in any stretch of services, any two differ by at most one each, divided by their weights."""
    queue: FairQueue[str, Waiting] = FairQueue(weights.__getitem__)
    for number, key in enumerate(start):
        queue.push(key, (key, -1 - number))
    for _ in range(len(start) // 2):
        queue.pop()
    for key in KEYS:
        for number in range(services + 20):
            queue.push(key, (key, number))
    served = dict.fromkeys(KEYS, 0)
    for _ in range(services):
        served[queue.pop()[0]] += 1
        for one in KEYS:
            for other in KEYS:
                gap = abs(served[one] / weights[one] - served[other] / weights[other])
                assert gap <= 1 / weights[one] + 1 / weights[other] + 1e-9

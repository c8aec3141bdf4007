"""The provider's account when several nodes share it: limits, turns, deaths, and a store that goes away.

Invariant under test: what all nodes do together is what one would do alone; whoever dies gives back what it held within
a lease, and with the store away nothing hangs, nothing is exceeded, and all is well again when it is back.
What holds for the account of one process as well stands in test_account.py.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.errors import ServiceError, UpstreamError
from gateway.model import TenantId
from gateway.redis.connection import Redis
from gateway.upstream.governor import Governor
from tests.house.programs import Program
from tests.support.governor import Guest, guests, node, until
from tests.support.redis import RedisServer, redis_server, standing_redis

# The loop plays no part in what nodes say to each other; test_account.py has both.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

ROOT = Path(__file__).parents[2]
Process = Callable[..., Awaitable[Program]]


@pytest.fixture(scope="module")
def standing(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest_asyncio.fixture
async def url(standing: str) -> str:
    """Of a store in which nothing is."""
    async with Redis(standing, timeout=5.0) as redis:
        await redis.call("FLUSHALL")
    return standing


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    """One that may be killed."""
    async with redis_server(need("redis-server")) as running:
        yield running


def inside(present: list[Guest]) -> list[Guest]:
    return [guest for guest in present if guest.turn is not None and not guest.task.done()]


async def admitted(guest: Guest, seconds: float = 10.0) -> None:
    await until(lambda: guest.turn is not None, seconds)


async def refused(guest: Guest) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await asyncio.wait_for(guest.task, 5)
    return refusal.value


async def served(nodes: list[Governor], tenants: str, limit: int, admissions: list[tuple[float, int]]) -> None:
    """Each of these is served once, at the nodes in turn; when, and how many were out then, is written down.

    The first ones stay until as many are out as may be, so that all the room is seen to be used.
    """
    full = asyncio.Event()

    async def visit(of: Governor, tenant: str) -> None:
        async with of.admission(TenantId(tenant)) as turn, asyncio.timeout(20):
            async for _ in turn:
                pass
            out = sum(each.used for each in nodes)
            admissions.append((time.monotonic(), out))
            if out >= limit:
                full.set()
            await full.wait()
            await asyncio.sleep(0.03)
            turn.finished()

    await asyncio.gather(*(visit(nodes[i % len(nodes)], tenant) for i, tenant in enumerate(tenants)))


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_three_nodes_are_never_more_at_once_than_the_limit(url: str) -> None:
    """100 who want in at three nodes, and room for 10: all get in, and the room is used."""
    admissions: list[tuple[float, int]] = []
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(url, max_concurrency=10)) for _ in range(3)]
        await served(nodes, "abcdefghij" * 10, 10, admissions)
        assert len(admissions) == 100
        assert max(out for _, out in admissions) == 10
        assert [of.used + of.waiting for of in nodes] == [0, 0, 0]


async def test_the_rate_is_that_of_all_nodes_together(url: str) -> None:
    """3,000 a minute, whoever starts: 21 of three nodes are 20 gaps apart."""
    admissions: list[tuple[float, int]] = []
    rate = {"max_concurrency": 100, "requests_per_minute": 3000}
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(url, **rate)) for _ in range(3)]
        began = time.monotonic()
        await served(nodes, "abc" * 7, 1, admissions)
    # However late each of them is seen, the last one has not started sooner.
    assert max(at for at, _ in admissions) - began >= 20 * 0.02


async def test_a_pause_and_what_was_learned_are_of_all_nodes(url: str) -> None:
    """What one node is told holds for another: nobody starts there either, and the limit has shrunk once."""
    async with (
        node(url, max_concurrency=10) as first,
        node(url, max_concurrency=10) as second,
        guests(first, *"abcde") as here,
        guests(second, *"abcde") as there,
    ):
        await until(lambda: len(inside(here + there)) == 10)
        began = time.monotonic()
        for guest in (here[0], there[0]):
            assert guest.turn is not None
            guest.turn.failed(UpstreamError("upstream_busy", "Full.", retry_after=0.4))
            await guest.leave()
        for guest in here[1:]:
            await guest.leave()
        await until(lambda: first.limit == second.limit == 7)
        async with guests(second, "f") as (late,):
            await admitted(late)
            assert time.monotonic() - began >= 0.4 - 0.005
            assert first.limit == second.limit == 7


# -- turns -----------------------------------------------------------------------------------------------------------


async def test_weights_hold_between_nodes(url: str) -> None:
    """A tenant of weight 3 at one node is admitted three times for once of one at the other node."""
    weight = {"a": 3.0, "b": 1.0}.__getitem__
    order: list[str] = []
    async with (
        node(url, weight=weight, max_concurrency=1) as first,
        node(url, weight=weight, max_concurrency=1) as second,
        guests(first, *["a"] * 12) as here,
        guests(second, *["b"] * 12) as there,
    ):
        present = here + there
        for _ in range(8):
            await until(lambda: len(inside(present)) == 1)
            (guest,) = inside(present)
            # Both have said that they wait before the next place is free.
            await asyncio.sleep(0.06)
            order.append(guest.tenant)
            await guest.leave()
    assert 5 <= Counter(order)["a"] <= 7, order


async def test_a_crowd_at_one_node_does_not_delay_a_single_tenant_at_another(url: str) -> None:
    """Who comes behind 20 of another tenant is among the next two."""
    async with (
        node(url, max_concurrency=1) as first,
        node(url, max_concurrency=1) as second,
        guests(first, *["crowd"] * 20) as crowd,
    ):
        await until(lambda: len(inside(crowd)) == 1)
        async with guests(second, "single") as (single,):
            await until(lambda: bool(single.news))
            await asyncio.sleep(0.06)
            for _ in range(2):
                if single.turn is None:
                    await inside(crowd)[0].leave()
                    await until(lambda: len(inside([*crowd, single])) == 1)
            assert single.turn is not None


async def test_of_one_tenant_whoever_has_waited_longest_is_next(url: str) -> None:
    """At whatever node."""
    async with (
        node(url, max_concurrency=1) as first,
        node(url, max_concurrency=1) as second,
        guests(first, "a") as (holder,),
    ):
        await admitted(holder)
        async with guests(second, "a") as (early,):
            await asyncio.sleep(0.05)
            async with guests(first, "a") as (late,):
                await asyncio.sleep(0.06)
                await holder.leave()
                await until(lambda: len(inside([early, late])) == 1)
                assert early.turn is not None
                await early.leave()
                await admitted(late)


async def test_places_count_those_who_wait_elsewhere(url: str) -> None:
    """As if the nodes took turns: the third here has two before it here, and as many there."""
    async with (
        node(url, max_concurrency=1) as first,
        node(url, max_concurrency=1) as second,
        guests(first, "a") as (holder,),
    ):
        await admitted(holder)
        async with guests(second, *"bb"), guests(first, *"abc") as here:
            await until(lambda: [guest.positions[-1:] for guest in here] == [[2], [4], [5]])


async def test_whoever_waits_no_more_holds_up_nobody(url: str) -> None:
    """A node at which the last one has gone gives its turn away at once."""
    async with (
        node(url, max_concurrency=1) as first,
        node(url, max_concurrency=1) as second,
        guests(first, "a") as (holder,),
    ):
        await admitted(holder)
        async with guests(second, "b") as (early,):
            await asyncio.sleep(0.06)
            async with guests(first, "c") as (late,):
                await asyncio.sleep(0.06)
                early.task.cancel()
                await asyncio.wait([early.task], timeout=5)
                await holder.leave()
                # Sooner than the turn of a node that has died would lapse.
                await admitted(late, 0.3)


# -- deaths ----------------------------------------------------------------------------------------------------------

# Takes two permits, says so, and holds them.
HOLDER = """
import asyncio, sys
from gateway.model import TenantId
from tests.support.governor import guests, node, until

async def main(url):
    async with node(url, max_concurrency=2, lease=0.8) as of, guests(of, "a", "b", "c") as present:
        await until(lambda: of.used == 2 and of.waiting == 1)
        print("holds", flush=True)
        await asyncio.sleep(30)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_killed_node_gives_its_permits_back_within_a_lease(url: str, process: Process) -> None:
    """kill -9: up to then nobody else gets in, and then both places are free, the turn of who waited there as well."""
    holder = await process(sys.executable, "-c", HOLDER, url, cwd=ROOT)
    await holder.says("^holds$")
    async with node(url, max_concurrency=2, lease=0.8) as of, guests(of, "x", "y") as present:
        await asyncio.sleep(1.0)
        assert not inside(present), "a living node tells again what it holds"
        os.kill(holder.pid, signal.SIGKILL)
        killed = time.monotonic()
        await until(lambda: len(inside(present)) == 2, 3.0)
        assert time.monotonic() - killed < 0.8 + 0.7
        await holder.ends()


async def test_a_node_that_leaves_gives_back_at_once(url: str) -> None:
    """Without waiting for the lease."""
    async with node(url, max_concurrency=1, lease=30.0) as of:
        async with node(url, max_concurrency=1, lease=30.0) as leaving:
            guest = Guest(leaving, "a")
            await admitted(guest)
        async with guests(of, "b") as (waiting,):
            await admitted(waiting, 2.0)
        await guest.leave()


# -- a store that goes away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [False, True])
async def test_with_the_store_away_new_ones_are_refused_and_it_heals(server: RedisServer, stops: bool) -> None:
    """Killed, or silent: who holds goes on; who waits and who comes is refused in bounded time; then all goes on."""
    timeout = 0.3 if stops else 5.0
    async with (
        node(server.url, max_concurrency=1, timeout=timeout, patience=0.3, lease=0.6) as of,
        guests(of, "a", "b") as (holder, waiting),
    ):
        await until(lambda: of.used == 1 and of.waiting == 1)
        if stops:
            server.stop_answering()
        else:
            await server.kill()
        error = await refused(waiting)
        assert (error.code, error.handling.status, error.retry_after) == ("cluster_unavailable", 503, 1.0)
        began = time.monotonic()
        async with guests(of, "c") as (late,):
            assert (await refused(late)).code == "cluster_unavailable"
        assert time.monotonic() - began < 0.1, "nobody waits for what is known to be away"
        assert of.trouble() == "upstream account not shared"
        assert inside([holder]) == [holder]
        if stops:
            server.answer_again()
        else:
            await server.start()
        await until(lambda: of.trouble() is None)
        async with (
            guests(of, "d") as (other,),
            node(server.url, max_concurrency=1) as elsewhere,
            guests(elsewhere, "e") as (stranger,),
        ):
            await asyncio.sleep(0.3)
            assert not inside([other, stranger]), "what is held was told again"
            await holder.leave()
            await until(lambda: len(inside([other, stranger])) == 1)


async def test_a_store_that_has_lost_all_is_told_it_again(url: str) -> None:
    """Before anybody else gets what is taken: permits, the limit that was learned, and the pause."""
    async with (
        node(url, max_concurrency=4, lease=0.6) as first,
        node(url, max_concurrency=4, lease=0.6) as second,
        guests(first, "a", "a", "a", "a") as here,
    ):
        await until(lambda: len(inside(here)) == 4)
        turn = here[0].turn
        assert turn is not None
        turn.failed(UpstreamError("upstream_busy", "Full.", retry_after=0.01))
        await here[0].leave()
        await here[1].leave()
        await until(lambda: first.limit == second.limit == 2)
        async with Redis(url, timeout=5.0) as redis:
            await redis.call("FLUSHALL")
        async with guests(second, "b") as (there,):
            await asyncio.sleep(0.5)
            assert not inside([there])
            await here[2].leave()
            await admitted(there)
            assert (first.limit, second.limit) == (2, 2)


async def test_alone_each_node_goes_on_with_its_share(server: RedisServer) -> None:
    """Two nodes and room for 4: two each, held ones included; and when the store is back, what it says counts."""
    options = {"max_concurrency": 4, "alone": True, "lease": 0.6}
    async with (
        node(server.url, **options) as first,
        node(server.url, **options) as second,
        guests(first, "a") as here,
        guests(second, *"abc") as there,
    ):
        await until(lambda: len(inside(here + there)) == 4)
        # Each has heard of the other before the store is gone.
        await asyncio.sleep(0.25)
        await server.kill()
        async with guests(first, "b", "c") as more, guests(second, "d") as (late,):
            await until(lambda: len(inside(more)) == 1)
            await asyncio.sleep(0.1)
            assert len(inside(more)) == 1
            assert (first.limit, first.used, late.turn) == (2, 2, None)
            assert late.positions[-1] == 1
            await there[0].leave()
            await there[1].leave()
            await admitted(late)
            await server.start()
            await until(lambda: first.limit == second.limit == 4)
            # Four are out: one of the first who came, its second, one of those at the other node, and the late one.
            assert first.used + second.used == 4
            waiting = [guest for guest in more if guest.turn is None]
            await asyncio.sleep(0.4)
            assert not inside(waiting)
            await late.leave()
            await admitted(waiting[0])


async def test_alone_the_rate_is_shared_as_well(server: RedisServer) -> None:
    """Two nodes of 1,200 a minute: 600 each."""
    options = {"requests_per_minute": 1200, "alone": True, "lease": 0.6}
    async with node(server.url, **options) as first, node(server.url, **options):
        await asyncio.sleep(0.3)
        await server.kill()
        async with guests(first, *"abcd") as present:
            # When nobody was inside yet: whoever is let in may hear of it, and be seen, some steps later.
            looks: deque[float] = deque(maxlen=4)

            def first_is_in() -> bool:
                looks.append(time.monotonic())
                return bool(inside(present))

            await until(first_is_in)
            await until(lambda: len(inside(present)) == 4)
            assert time.monotonic() - looks[0] >= 3 * 0.1

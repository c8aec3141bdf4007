"""Tests of songs that are shared among nodes: one is bought, whoever orders it and wherever.

Invariant under test: of many who order the same song at once, on all nodes, one pays; whoever has nothing to share
gives its claim up, and a dead node's is taken over. What one node does by itself is in `test_hub_sharing.py`.
"""

import asyncio
import logging

import pytest

from gateway.errors import LimitError, ServiceError
from gateway.model import AudioDelta, Finished, Principal, Status, StreamId
from gateway.relay.order import Order, RepeatedOrderError
from gateway.relay.replica import Replica
from gateway.relay.songs import name_of
from tests.support.hub import OTHER, SONG
from tests.support.nodes import Nodes, nodes
from tests.support.relay import BUYER, TENANT, song, until, within

SHARED = Order(BUYER, song(), share=True)


def bought(nodes_: Nodes) -> int:
    """How many songs were paid for."""
    return sum(len(node.ledger.reserved) for node in nodes_)


async def test_of_many_at_once_on_all_nodes_one_pays() -> None:
    """All hear the same stream, and nothing is left of the wait."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        orders = [asyncio.ensure_future(node.hub.order(SHARED)) for _ in range(10) for node in three]
        answers = [await within(order) for order in orders]
        assert len({stream.id for stream, _ in answers}) == 1
        assert sum(not there for _, there in answers) == 1
        assert bought(three) == 1
        assert not any(node.hub._songs._ordering for node in three)
        assert list(three.realm.claims) == [name_of(TENANT, song())]


async def test_other_songs_and_other_tenants_are_others() -> None:
    """As on one node."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        first, _ = await there.hub.order(SHARED)
        for order in (
            Order(BUYER, song(prompt="Another song"), share=True),
            Order(Principal(OTHER, "k"), song(), share=True),
            Order(BUYER, song()),
        ):
            stream, known = await here.hub.order(order)
            assert (known, stream.id == first.id) == (False, False)


async def test_who_shares_a_stream_of_another_node_brings_patience() -> None:
    """It goes on as long as the more patient of its buyers wants, wherever they order."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.hub.create(Order(BUYER, song(), grace=0.0))
        two.realm.claims[name_of(TENANT, song())] = "n0"
        _, known = await here.hub.order(Order(BUYER, song(), share=True, grace=None))
        assert known
        (await there.hear(stream.id)).leave()
        await two.pass_by(3.0)
        assert stream.status is Status.RUNNING


async def test_a_whole_song_is_shared_as_well() -> None:
    """And one that has ended otherwise is bought again, by whoever orders it next."""
    async with nodes(AudioDelta(SONG), Finished(0.5)) as two:
        there, here = two
        first, _ = await there.hub.order(SHARED)
        await within(first.wait())
        again, known = await here.hub.order(SHARED)
        assert (again.id, known) == (first.id, True)
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        first, _ = await there.hub.order(SHARED)
        await first.stop()
        second, known = await here.hub.order(SHARED)
        assert (known, second.id == first.id) == (False, False)
        assert set(two.realm.claims.values()) == {"n1"}
        third, known = await there.hub.order(SHARED)
        assert (third.id, known) == (second.id, True)


async def test_the_claim_of_a_dead_node_is_taken_over() -> None:
    """Once it is known to be dead; before, nobody is kept waiting, and the song is bought."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        there, here, third = three
        await there.hub.order(SHARED)
        three.realm.kill("n0")
        second, known = await here.hub.order(SHARED)
        assert not known
        assert set(three.realm.claims.values()) == {"n1"}
        shared, known = await third.hub.order(SHARED)
        assert (shared.id, known) == (second.id, True)
        assert bought(three) == 2


@pytest.mark.parametrize("away", [True, False])
async def test_who_cannot_ask_orders_alone(away: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The store is away, or the holder does not answer: it costs a song, and stands in the log."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        await there.hub.order(SHARED)
        two.realm.away = away
        there.cluster.deaf.add("share")
        with caplog.at_level(logging.WARNING):
            stream, known = await here.hub.order(SHARED)
        assert not known
        assert not isinstance(stream, Replica)
        assert "stream.not_shared" in caplog.text
        (alone,) = [record for record in caplog.records if record.message == "stream.not_shared"]
        assert alone.__dict__["fields"] == {"code": "cluster_unavailable"}
        two.realm.away = False


async def test_an_order_that_is_refused_gives_its_claim_up() -> None:
    """Whoever orders next has it, here or elsewhere; a store that is away is no reason to say something else."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        there.ledger.refusal = LimitError("concurrency_exceeded", "No.")
        with pytest.raises(LimitError):
            await there.hub.order(SHARED)
        assert two.realm.claims == {}
        two.realm.away = True
        with pytest.raises(LimitError):
            await there.hub.order(SHARED)
        two.realm.away = False
        _, known = await here.hub.order(SHARED)
        assert not known


async def test_who_waits_for_a_refused_order_elsewhere_orders() -> None:
    """Two nodes at once, and the first has no budget."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        there.ledger.refusal = LimitError("quota_exceeded", "No.")
        refused, given = await asyncio.gather(there.hub.order(SHARED), here.hub.order(SHARED), return_exceptions=True)
        assert isinstance(refused, LimitError)
        assert not isinstance(given, BaseException)
        assert bought(two) == 1


async def test_a_song_that_has_gone_since_is_bought() -> None:
    """Its holder says one that nobody has; and a name that cannot be had is not waited for for ever."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        two.realm.claims[name_of(TENANT, song())] = "n0"

        async def ghost(node: str, body: bytes) -> bytes:
            return b"st_gone"

        there.cluster.handlers = {**there.cluster.handlers, "share": ghost}
        _, known = await here.hub.order(SHARED)
        assert not known
        assert set(two.realm.claims.values()) == {"n1"}
        two.realm.claims[name_of(TENANT, song(prompt="Another"))] = "n0"

        async def held(name: str, value: str) -> None:
            """Somebody always claims it again."""

        here.cluster.release = held  # type: ignore[method-assign] # as if another were quicker
        _, known = await within(here.hub.order(Order(BUYER, song(prompt="Another"), share=True)))
        assert not known


async def test_an_order_that_was_made_at_another_node_is_found_there() -> None:
    """It is its first stream; when that is gone, or cannot be asked for, it is named, and nothing is bought."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        first = await there.create()
        here.ledger.repeats = first.id
        stream, known = await here.hub.order(Order(BUYER, song()))
        assert (stream.id, known) == (first.id, True)
        here.ledger.repeats = StreamId("st_gone")
        with pytest.raises(RepeatedOrderError):
            await here.hub.order(Order(BUYER, song()))
        assert here.ledger.reserved == []


async def test_a_song_that_is_going_away_is_not_shared() -> None:
    """A node that stops orders nothing, and keeps no claim."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, _ = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        draining = asyncio.ensure_future(there.hub.drain(0.0))
        await within(draining)
        with pytest.raises(ServiceError, match="stopping"):
            await there.hub.order(Order(BUYER, song(prompt="Another"), share=True))
        assert two.realm.claims == {}

"""Whoever is in: what a ticket opens, how often, and for how many seconds.

Invariant under test: every grant is counted before it is given, and no failure gives one back; a key is never counted.
It must not know sockets, nor how a store keeps its counts.
"""

import asyncio
import logging
from typing import Any

import pytest

from gateway.errors import AccessError, LimitError, RequestError, ServiceError, WavegateError
from gateway.model import Principal
from gateway.quota.uses import MemoryUses
from gateway.server.signing import LEEWAY_SECONDS, SECRET_BYTES, SigningKeys
from gateway.server.tickets import Permission, TicketOffice, Wanted
from gateway.server.visitor import Visitor
from tests.support.relay import TENANT, Clock

NOW = 1_800_000_000.0
BOTH = ["listen", "create"]
LISTEN, CREATE = Permission.LISTEN, Permission.CREATE


class Place:
    """One store, one clock, and visitors with the same ticket."""

    def __init__(self, **wanted: Any) -> None:
        self.clock = Clock(NOW)
        self.uses = MemoryUses(now=self.clock)
        office = TicketOffice(SigningKeys([b"s" * SECRET_BYTES]), now=self.clock)
        self.ticket = office.mint(TENANT, Wanted(**wanted)).ticket

    def visitor(self) -> Visitor:
        return Visitor(Principal(TENANT, self.ticket.name), self.uses, self.ticket, now=self.clock)


async def refused_with(code: str, asked: Any) -> WavegateError:
    with pytest.raises(WavegateError) as refused:
        await asked
    assert refused.value.code == code
    return refused.value


class Away(MemoryUses):
    """A store that does not answer."""

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        raise ServiceError("overloaded", "Away.")

    async def settle(self, ticket_id: bytes, taken: float, used: float) -> None:
        raise ServiceError("overloaded", "Away.")


# -- with a key ------------------------------------------------------------------------------------------------------


async def test_a_key_opens_everything_and_is_not_counted() -> None:
    """Nothing of it reaches the store."""
    uses = MemoryUses(now=Clock(NOW))
    visitor = Visitor(Principal(TENANT, "k"), uses)
    visitor.check_owner()
    visitor.check(LISTEN, "st_1")
    visitor.check(CREATE)
    for _ in range(3):
        await visitor.enter()
        purchase = await visitor.buy(1e9)
        await purchase.settle(3.0)
    assert len(uses) == 0


# -- entering --------------------------------------------------------------------------------------------------------


async def test_a_single_use_lets_one_of_many_in() -> None:
    """200 come at once with the same ticket; the others hear that it has been used."""
    place = Place()
    answers = await asyncio.gather(*(place.visitor().enter() for _ in range(200)), return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, AccessError)]
    assert (answers.count(None), len(refusals)) == (1, 199)
    assert {refusal.code for refusal in refusals} == {"ticket_used"}


async def test_whoever_is_in_is_in() -> None:
    """Entering twice costs one use."""
    place = Place(uses=2)
    visitor = place.visitor()
    await visitor.enter()
    await visitor.enter()
    await place.visitor().enter()
    await refused_with("ticket_used", place.visitor().enter())


async def test_a_ticket_without_a_number_is_not_counted() -> None:
    """It is good as often as anybody comes, and takes no memory."""
    place = Place(uses=0)
    for _ in range(100):
        await place.visitor().enter()
    assert len(place.uses) == 0


async def test_nobody_gets_in_while_the_store_is_away() -> None:
    """A ticket that cannot be counted is not granted; trying again later is no second use."""
    place = Place()
    visitor = Visitor(Principal(TENANT, "k"), Away(now=place.clock), place.ticket, now=place.clock)
    for _ in range(2):
        await refused_with("overloaded", visitor.enter())


# -- what it opens ---------------------------------------------------------------------------------------------------


def test_a_ticket_is_no_key() -> None:
    """Lists, cancelling, usage and new tickets are the tenant's own."""
    with pytest.raises(AccessError) as refused:
        Place(allow=BOTH).visitor().check_owner()
    assert refused.value.code == "forbidden"


def test_looking_costs_nothing() -> None:
    """A check spends no use, and says what the ticket says."""
    place = Place(stream_id="st_1")
    visitor = place.visitor()
    visitor.check(LISTEN, "st_1")
    with pytest.raises(RequestError):
        visitor.check(LISTEN, "st_2")
    with pytest.raises(AccessError):
        visitor.check(CREATE)
    assert len(place.uses) == 0


async def test_a_session_outlives_its_ticket_to_listen_but_not_to_buy() -> None:
    """What it bought could no longer be counted; and it hears on what it has begun to hear, and nothing else."""
    place = Place(allow=BOTH, uses=0, ttl_seconds=60, max_audio_seconds=10)
    visitor = place.visitor()
    await visitor.enter()
    place.clock.at = NOW + 60 + LEEWAY_SECONDS - 0.1
    await visitor.buy(5.0)
    visitor.check(LISTEN, "st_1")
    visitor.hears("st_1")
    place.clock.at = NOW + 60 + LEEWAY_SECONDS
    visitor.check(LISTEN, "st_1")
    with pytest.raises(AccessError, match="expired"):
        visitor.check(LISTEN, "st_2")
    await refused_with("credentials_expired", visitor.buy(5.0))


async def test_whose_key_went_while_this_waited_does_not_come_in() -> None:
    """For its use in the store, or for its own body before: a reload has seen nobody to send away."""
    place = Place(uses=1)
    gone = Visitor(Principal(TENANT, "ticket 01", guest=True), place.uses, place.ticket, holds=lambda _: False)
    await refused_with("bad_credentials", gone.enter())
    await refused_with("bad_credentials", Visitor(Principal(TENANT, "k"), place.uses, holds=lambda _: False).enter())
    await Visitor(Principal(TENANT, "k"), place.uses).enter()


# -- buying ----------------------------------------------------------------------------------------------------------


async def test_a_use_is_good_for_one_order() -> None:
    """The second one in the same session costs a use of its own, and there is none."""
    visitor = Place(allow=["create"]).visitor()
    await visitor.enter()
    await visitor.buy(10.0)
    await refused_with("ticket_used", visitor.buy(10.0))


async def test_orders_and_sessions_share_the_uses() -> None:
    """Three uses: two orders in one session, and one session more."""
    place = Place(allow=BOTH, uses=3)
    visitor = place.visitor()
    await visitor.enter()
    await visitor.buy(1.0)
    await visitor.buy(1.0)
    await place.visitor().enter()
    await refused_with("ticket_used", visitor.buy(1.0))
    await refused_with("ticket_used", place.visitor().enter())


async def test_two_orders_at_once_are_two() -> None:
    """Only one of them is covered by the use that opened the session."""
    visitor = Place(allow=["create"]).visitor()
    await visitor.enter()
    answers = await asyncio.gather(visitor.buy(1.0), visitor.buy(1.0), return_exceptions=True)
    assert [isinstance(answer, AccessError) for answer in answers] == [False, True]


async def test_an_order_that_came_to_nothing_can_be_made_again() -> None:
    """It was refused elsewhere: seconds and use are there for the next, however often."""
    visitor = Place(allow=["create"], max_audio_seconds=60).visitor()
    await visitor.enter()
    for _ in range(3):
        purchase = await visitor.buy(60.0)
        await purchase.undo()
        await purchase.undo()
    await visitor.buy(60.0)
    await refused_with("ticket_used", visitor.buy(0.0))


async def test_who_may_not_create_buys_nothing() -> None:
    """And nothing is spent on it."""
    place = Place()
    visitor = place.visitor()
    await refused_with("forbidden", visitor.buy(1.0))
    assert len(place.uses) == 0


async def test_the_ceiling_is_for_all_orders_together() -> None:
    """Of many sessions, at once: 100 seconds are four songs of 25, and then there is nothing left."""
    place = Place(allow=["create"], uses=0, max_audio_seconds=100)
    answers = await asyncio.gather(*(place.visitor().buy(25.0) for _ in range(20)), return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, LimitError)]
    assert len(refusals) == 16
    assert {refusal.code for refusal in refusals} == {"quota_exceeded"}
    assert "100 s" in refusals[0].message


async def test_a_shorter_song_leaves_the_rest() -> None:
    """Settled once: a second bill gives nothing back, nor does taking back what was bought."""
    place = Place(allow=["create"], uses=0, max_audio_seconds=100)
    purchase = await place.visitor().buy(100.0)
    await refused_with("quota_exceeded", place.visitor().buy(1.0))
    await purchase.settle(60.0)
    await purchase.settle(0.0)
    await purchase.undo()
    await refused_with("quota_exceeded", place.visitor().buy(40.1))
    await place.visitor().buy(40.0)


async def test_too_much_at_once_leaves_room_for_less() -> None:
    """The use that was spent on the larger order is good for the smaller one."""
    place = Place(allow=["create"], uses=2, max_audio_seconds=50)
    visitor = place.visitor()
    await visitor.enter()
    await visitor.buy(30.0)
    await refused_with("quota_exceeded", visitor.buy(30.0))
    await visitor.buy(20.0)
    await refused_with("ticket_used", visitor.buy(0.0))


@pytest.mark.parametrize("wanted", [{"uses": 0}, {"uses": 0, "max_audio_seconds": 100}])
async def test_what_cost_as_much_as_was_taken_needs_no_correction(wanted: dict[str, Any]) -> None:
    """Nor does an order without a ceiling: the store is not asked."""
    place = Place(allow=["create"], **wanted)
    visitor = Visitor(Principal(TENANT, "k"), Away(now=place.clock), place.ticket, now=place.clock)
    await (await visitor.buy(7.0)).settle(7.0)


async def test_a_bill_that_cannot_be_corrected_stays(caplog: pytest.LogCaptureFixture) -> None:
    """The store is away at the end: the seconds stay taken, the log says so by the short name, and nobody is harmed."""
    place = Place(allow=["create"], uses=0, max_audio_seconds=100)
    visitor = Visitor(Principal(TENANT, "k"), Away(now=place.clock), place.ticket, now=place.clock)
    purchase = await visitor.buy(100.0)
    with caplog.at_level(logging.WARNING):
        await purchase.settle(1.0)
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"ticket": place.ticket.name, "taken_seconds": 100.0}
    await refused_with("quota_exceeded", visitor.buy(1.0))

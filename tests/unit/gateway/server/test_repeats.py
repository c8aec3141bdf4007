"""Orders that are made again under their key: bought once, paid once, answered alike, and refused when they differ.

Invariant under test: however an order is repeated (at once, later, after the hub or the gateway forgot it) nothing is
bought twice and no ticket pays twice. It must not know HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.config.schema import Limits
from gateway.errors import AccessError, LimitError, RequestError
from gateway.model import Accepted, AudioDelta, Finished, Principal
from gateway.protocol.events import StreamInfo
from gateway.protocol.messages import CreateBody, InputSpec
from gateway.quota.uses import MemoryUses
from gateway.quota.volatile import VolatileLedger
from gateway.relay.order import RepeatedOrderError
from gateway.relay.stream import Stream
from gateway.server.ordering import order_of
from gateway.server.purchasing import bought
from gateway.server.repeats import HEADER, KEPT_SECONDS, Repeats, once_of
from gateway.server.services import Services
from gateway.server.tickets import Wanted
from gateway.server.visitor import Visitor
from tests.support.relay import TENANT, Clock, ScriptedSource, mp3_frames
from tests.support.server import services
from tests.support.tickets import NOW, office

SONG = (Accepted("r"), AudioDelta(b"".join(mp3_frames(20))), Finished(1.0))
BODY = CreateBody(InputSpec(prompt="A quiet song about the rain"))
OTHER_BODY = CreateBody(InputSpec(prompt="A loud song about the sun"))
BASE = "http://gateway.test"


@dataclass
class Shop:
    """A hub whose ledger is known, and who remembers."""

    room: Services
    source: ScriptedSource
    ledger: VolatileLedger
    repeats: Repeats

    async def order(
        self, visitor: Visitor, body: CreateBody = BODY, key: str | None = "one", *, share: bool = False
    ) -> tuple[StreamInfo, bool]:
        body = CreateBody(body.input, share=share)
        once = once_of([] if key is None else [key], body, visitor)
        order = replace(order_of(body, visitor.principal, "finish", "fun-music-v1"), once=once)

        async def buy() -> tuple[Stream, bool]:
            await asyncio.sleep(0)  # as stores do that are not in memory
            await visitor.enter()
            return await bought(visitor, self.room.hub, self.room.tasks, order, 240.0)

        return await self.repeats.order(order, BASE, buy)

    def forget(self) -> None:
        """As after a restart: the ledger alone knows."""
        self.repeats = Repeats(self.room.hub, self.ledger)


@asynccontextmanager
async def shop(**options: Any) -> AsyncIterator[Shop]:
    source, ledger = ScriptedSource(*SONG), VolatileLedger(lambda _: Limits())
    async with services(source, ledger=ledger) as room:
        yield Shop(room, source, ledger, Repeats(room.hub, ledger, **options))


def owner() -> Visitor:
    return Visitor(Principal(TENANT, "k"), MemoryUses())


def guests(uses: int = 1, ceiling: int | None = None) -> Callable[[], Visitor]:
    """The requests of one ticket, each a visitor of its own."""
    clock = Clock(NOW)
    ticket = office(clock).mint(TENANT, Wanted(allow=["create"], uses=uses, max_audio_seconds=ceiling)).ticket
    counted = MemoryUses(now=clock)
    return lambda: Visitor(Principal(TENANT, f"ticket {ticket.name}"), counted, ticket, now=clock)


async def refused(order: Awaitable[object]) -> str:
    with pytest.raises((RequestError, AccessError, LimitError)) as error:
        await order
    return error.value.code


@pytest.mark.parametrize("given", [[""], ["a b"], ["x" * 256], ["é"], ["tab\t"], ["a", "b"]])
def test_a_key_that_is_none_is_named(given: list[str]) -> None:
    """Visible ASCII, 1 to 255 of it, once."""
    with pytest.raises(RequestError) as error:
        once_of(given, BODY, owner())
    assert (error.value.code, error.value.param) == ("invalid_request", HEADER)


def test_an_order_is_known_by_what_it_asks_for() -> None:
    """Defaults that are said are the same as those that are not; without a header nothing is remembered."""
    once, same = once_of(["x" * 255], BODY, owner()), once_of(["x" * 255], CreateBody(BODY.input, None), owner())
    assert once is not None
    assert once == same
    assert once.request_hash != getattr(once_of(["x"], OTHER_BODY, owner()), "request_hash", None)
    assert len(once.request_hash) == 64
    assert once_of([], BODY, owner()) is None


async def test_the_second_time_it_is_the_first_stream() -> None:
    """Another body is refused, another key is another order, and without a key every order is one."""
    async with shop() as place:
        first, there = await place.order(owner())
        assert not there
        again, there = await place.order(owner())
        assert (again.id, there) == (first.id, True)
        assert await refused(place.order(owner(), OTHER_BODY)) == "idempotency_conflict"
        ids = {first.id} | {(await place.order(owner(), key=key))[0].id for key in ("two", None, None)}
        assert len(ids) == 4
        assert len(list(place.room.hub.streams)) == 4


async def test_all_at_once_it_is_bought_once() -> None:
    """Of twenty with a ticket for one use, one pays and all are answered."""
    visit = guests()
    async with shop() as place:
        answers = await asyncio.gather(*[place.order(visit()) for _ in range(20)])
        assert len({info.id for info, _ in answers}) == 1
        assert [there for _, there in answers].count(False) == 1
        assert await refused(place.order(visit(), key="two")) == "ticket_used"


async def test_a_ticket_pays_no_seconds_twice() -> None:
    """It may buy no second song, and hears of its first all the same."""
    visit = guests(uses=0, ceiling=300)
    async with shop() as place:
        first, _ = await place.order(visit())
        assert (await place.order(visit()))[0].id == first.id
        assert await refused(place.order(visit(), key="two")) == "quota_exceeded"


async def test_a_ticket_pays_no_use_twice_across_a_restart() -> None:
    """The ledger is asked before anything is spent: the second of two uses is still there for another song."""
    async with shop() as place:
        visit = guests(uses=2)
        first, _ = await place.order(visit())
        for _ in range(3):
            place.forget()
            info, there = await place.order(visit())
            assert (info.id, there) == (first.id, True)
        assert await place.order(visit(), OTHER_BODY, key="two")
        assert await refused(place.order(visit(), OTHER_BODY, key="three")) == "ticket_used"
        assert len(place.source.songs) == 2


async def test_no_guest_meets_the_order_of_another() -> None:
    """Keys of a ticket are its own: neither an owner's order nor another guest's is answered, or in the way."""
    async with shop() as place:
        answers = [await place.order(visitor) for visitor in (owner(), guests()())]
        assert [there for _, there in answers] == [False, False]
        assert answers[0][0].id != answers[1][0].id


async def test_a_refusal_is_not_remembered() -> None:
    """Whoever comes again when there is room buys."""
    async with shop() as place:
        visit = guests(uses=0, ceiling=100)
        assert await refused(place.order(visit())) == "quota_exceeded"
        assert not (await place.order(owner()))[1]


async def test_a_shared_song_is_that_song_again() -> None:
    """Its key is known though nothing was reserved under it, and the ticket pays one use."""
    visit = guests()
    async with shop() as place:
        first, _ = await place.order(owner(), share=True, key=None)
        for _ in range(2):
            info, there = await place.order(visit(), share=True)
            assert (info.id, there) == (first.id, True)


@pytest.mark.parametrize("restart", [False, True])
async def test_what_the_hub_keeps_no_more_is_answered_from_the_ledger(restart: bool) -> None:
    """The same document with the bill; nothing is bought again."""
    async with shop() as place:
        first, _ = await place.order(owner())
        stream = place.room.hub.get(TENANT, first.id)
        await stream.wait()
        place.room.hub._streams.clear()
        if restart:
            place.forget()
        for _ in range(2):
            info, there = await place.order(owner())
            assert there
            assert (info.id, info.status, info.usage.settled) == (first.id, "completed", True)
            assert info.usage.audio_seconds == 1.0
        assert await refused(place.order(owner(), OTHER_BODY)) == "idempotency_conflict"
        assert len(place.source.songs) == 1
        place.repeats = Repeats(place.room.hub, VolatileLedger(lambda _: Limits()))
        with pytest.raises(RepeatedOrderError):
            await place.order(owner())
        assert len(place.source.songs) == 1


async def test_the_oldest_is_forgotten_first() -> None:
    """Here; the ledger knows it still."""
    async with shop(kept=2) as place:
        ids = [(await place.order(owner(), key=key))[0].id for key in ("1", "2", "3")]
        assert [name for _, name in place.repeats._made] == ["2", "3"]
        info, there = await place.order(owner(), key="1")
        assert (info.id, there) == (ids[0], True)


async def test_after_a_day_it_is_the_ledgers_to_say() -> None:
    """Not a moment earlier: what was ordered meanwhile is known as long again."""
    clock = Clock()
    async with shop(now=clock) as place:
        await place.order(owner(), key="1")
        clock.at += KEPT_SECONDS - 1.0
        await place.order(owner(), key="2")
        assert [name for _, name in place.repeats._made] == ["1", "2"]
        clock.at += 1.0
        await place.order(owner(), key="2")
        assert [name for _, name in place.repeats._made] == ["2"]
        assert (await place.order(owner(), key="1"))[1], "the ledger's clock has not moved"

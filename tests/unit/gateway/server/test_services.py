"""Who is let in to the services that every session works with.

Invariant under test: a ticket's use is spent where there is a place and a stream for it, and nowhere else.
It must not know messages or sockets.
"""

import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError, RequestError
from gateway.model import Principal
from gateway.quota.uses import MemoryUses
from gateway.server.services import Services
from gateway.server.signing import SECRET_BYTES, SigningKeys
from gateway.server.tickets import TicketOffice, Wanted
from gateway.server.visitor import Visitor
from tests.support.relay import TENANT, Clock, ScriptedSource
from tests.support.server import services

NOW = 1_800_000_000.0


class Tickets(MemoryUses):
    """A store of uses, and how many were spent."""

    def __init__(self) -> None:
        super().__init__(now=Clock(NOW))
        self.spent = 0

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        self.spent += 1
        return await super().spend(ticket_id, limit, expires_at)

    def visitor(self, **wanted: object) -> Visitor:
        ticket = TicketOffice(SigningKeys([b"s" * SECRET_BYTES]), now=Clock(NOW)).mint(TENANT, Wanted(**wanted)).ticket  # type: ignore[arg-type] # whatever a test wants
        return Visitor(Principal(TENANT, ticket.name), self, ticket, now=Clock(NOW))


async def test_a_use_is_spent_where_there_is_a_place() -> None:
    """And none where there is not."""
    uses = Tickets()
    async with services(ScriptedSource(), limits=Limits(connections=1)) as room:
        await room.let_in(uses.visitor())
        assert uses.spent == 1
        room.seats.take(TENANT, object())
        with pytest.raises(LimitError):
            await room.let_in(uses.visitor())
        assert uses.spent == 1


async def test_a_place_that_was_taken_meanwhile_is_none() -> None:
    """Whoever asked a store for its ticket looks again."""

    class Crowd(Tickets):
        async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
            room.seats.take(TENANT, object())
            return await super().spend(ticket_id, limit, expires_at)

    room: Services
    async with services(ScriptedSource(), limits=Limits(connections=1)) as room:
        with pytest.raises(LimitError):
            await room.let_in(Crowd().visitor())


async def test_a_ticket_for_a_stream_that_is_not_there_costs_nothing() -> None:
    """It may come."""
    uses = Tickets()
    async with services(ScriptedSource()) as room:
        with pytest.raises(RequestError) as refusal:
            await room.let_in(uses.visitor(stream_id="st_none"))
        assert refusal.value.code == "stream_not_found"
        assert uses.spent == 0


async def test_a_key_needs_a_place_alone() -> None:
    """It is not counted."""
    async with services(ScriptedSource()) as room:
        await room.let_in(Visitor(Principal(TENANT, "key"), MemoryUses(now=Clock(NOW)), now=Clock(NOW)))
        assert room.seats.taken(TENANT) == 0, "it takes it when it is welcomed"

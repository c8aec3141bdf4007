"""What every session works with, and who is let in to it.

Invariant: a use of a ticket is spent only where there is a place, and where it opens something.
It must not know messages or sockets.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config.schema import Config
from gateway.model import TenantId
from gateway.relay.hub import Hub
from gateway.server.admission import Admission
from gateway.server.auth import Tenants
from gateway.server.repeats import Repeats
from gateway.server.seats import Seats
from gateway.server.visitor import Visitor

if TYPE_CHECKING:
    from gateway.server.session import ClientSession


@dataclass(frozen=True, slots=True)
class Services:
    """What every session works with. `welcomed` is told whose holder of a key has been let in."""

    hub: Hub
    tenants: Tenants
    config: Config
    tasks: asyncio.TaskGroup
    new_id: Callable[[], str]
    admission: Admission
    seats: "Seats[ClientSession]"
    repeats: Repeats
    welcomed: Callable[[TenantId], None] = lambda _: None

    async def let_in(self, visitor: Visitor) -> None:
        """Finds a newcomer's place, and spends a use of its ticket if that opens anything. Raises WavegateError."""
        tenant = visitor.principal.tenant
        self.seats.check(tenant)
        if visitor.ticket is not None:
            if visitor.ticket.stream_id is not None:
                await self.hub.find(tenant, visitor.ticket.stream_id)
            await visitor.enter()
            # Others have come meanwhile.
            self.seats.check(tenant)

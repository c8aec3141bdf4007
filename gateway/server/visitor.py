"""Whoever is in: with a key for everything, with a ticket for what it allows, as often and for as much as it allows.

A use opens one session or one request, and the first order made in there; each further order spends a use of its own.
Invariant: what a ticket grants is counted before it is given, and never given back by a failure: a use that may have
been spent is spent, seconds that may have been bought are bought. A session may outlive its ticket: it hears on what it
has begun to hear, and neither begins nor buys anything else. It must not know sockets, nor where uses are kept.
"""

import logging
import time
from collections.abc import Callable

from gateway.errors import AccessError, LimitError, ServiceError
from gateway.log import event as log_event
from gateway.model import Principal
from gateway.quota.uses import Uses
from gateway.server.tickets import Permission, Ticket

logger = logging.getLogger("wavegate.tickets")


class Visitor:
    """One session or request. `ticket` is None for the holder of a key; `holds` tells who may still be in."""

    def __init__(
        self,
        principal: Principal,
        uses: Uses,
        ticket: Ticket | None = None,
        *,
        now: Callable[[], float] = time.time,
        holds: Callable[[Principal], bool] = lambda _: True,
    ) -> None:
        self.principal = principal
        self.ticket = ticket
        self._uses = uses
        self._now = now
        self._holds = holds
        self._heard: set[str | None] = set()
        self._entered = False
        self._covered = True

    def check_owner(self) -> None:
        """At what no ticket opens: lists, cancelling, usage, new tickets. Raises AccessError `forbidden`."""
        if self.ticket is not None:
            raise AccessError("forbidden", "This takes a key: a ticket does not allow it.")

    def check(self, permission: Permission, stream_id: str | None = None) -> None:
        """Whether this may be done, with this stream. Spends nothing. Raises AccessError, RequestError."""
        if self.ticket is not None:
            self.ticket.check(permission, stream_id)
            if stream_id not in self._heard:
                self.ticket.check_alive(self._now())

    def hears(self, stream_id: str) -> None:
        """It has begun to hear this stream, and may do so again."""
        self._heard.add(stream_id)

    async def enter(self) -> None:
        """Spends the use that opens this session or request; a second call spends nothing.

        Raises AccessError `ticket_used`, `bad_credentials`, ServiceError.
        """
        if self._entered:
            return
        await self._spend()
        if not self._holds(self.principal):
            # The tenants were changed while this waited: for its use, or before for its body.
            raise AccessError("bad_credentials", "This key or ticket is not known here any more.")
        self._entered = True

    async def buy(self, seconds: float) -> "Purchase":
        """Takes so many seconds out of what the ticket may buy, before the order is made. Comes after `enter`.

        Raises AccessError `forbidden`, `credentials_expired`, `ticket_used`; LimitError `quota_exceeded`; ServiceError.
        """
        self.check(Permission.CREATE)
        ticket = self.ticket
        if ticket is None:
            return Purchase(self, 0.0)
        covered, self._covered = self._covered, False
        if not covered:
            await self._spend()
        ceiling = ticket.max_audio_seconds
        if ceiling is None:
            return Purchase(self, 0.0)
        if not await self.take(seconds):
            # The use that was spent for this order is good for the next, which may want less.
            self.excuse()
            sentence = f"This ticket may buy {ceiling} s of audio in all: {seconds:g} s more would be too many."
            raise LimitError("quota_exceeded", sentence)
        return Purchase(self, seconds, bounded=True)

    async def take(self, seconds: float) -> bool:
        """For a purchase: seconds out of what the ticket may buy, if so many are left. Raises ServiceError."""
        ticket = self.ticket
        if ticket is None or ticket.max_audio_seconds is None:
            return True
        return await self._uses.take(ticket.id, seconds, ticket.max_audio_seconds, ticket.expires_at)

    async def settle(self, taken: float, used: float) -> None:
        """For a purchase: counts what was bought in place of what was taken. Never raises for the store's sake."""
        ticket = self.ticket
        if ticket is None or taken == used or ticket.max_audio_seconds is None:
            return
        try:
            await self._uses.settle(ticket.id, taken, used)
        except ServiceError:
            log_event(logger, "ticket.seconds_kept", ticket=ticket.name, taken_seconds=taken)

    def excuse(self) -> None:
        """For a purchase: nothing came of an order, so the next one costs no other use."""
        self._covered = True

    async def _spend(self) -> None:
        ticket = self.ticket
        if ticket is not None and ticket.uses and not await self._uses.spend(ticket.id, ticket.uses, ticket.expires_at):
            raise AccessError("ticket_used", "This ticket has been used: get a new one.")


# What a song that becomes longer than it was taken for asks for: all of what it needs, or the last of what is left.
_SHARES = (1.0, 0.5, 0.2, 0.05, 0.01)


class Purchase:
    """`taken` seconds for one order; 0 if it is not `bounded`. Settled or undone, or they stay taken for good.

    Implements the relay's `Allowance`.
    """

    def __init__(self, visitor: Visitor, taken: float, *, bounded: bool = False) -> None:
        self._visitor = visitor
        self.taken = taken
        self.bounded = bounded
        self._open = True

    async def more(self, seconds: float) -> float:
        """Takes up to so many more and gives how many. Raises LimitError when the ticket has none, and ServiceError."""
        for share in _SHARES:
            if await self._visitor.take(share * seconds):
                self.taken += share * seconds
                return share * seconds
        raise LimitError("quota_exceeded", "The seconds of audio that this ticket may buy are used up.")

    async def settle(self, seconds: float) -> None:
        """The generation has ended and cost so much. Only the first call counts, of this and `undo`."""
        opened, self._open = self._open, False
        if opened:
            await self._visitor.settle(self.taken, seconds)

    async def undo(self) -> None:
        """The order was refused before anything was bought."""
        if self._open:
            self._visitor.excuse()
            await self.settle(0.0)

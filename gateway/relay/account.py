"""A running generation's side of the ledger: what it may use, what it used, and its bill.

Invariant: it is settled once, by the end it really had; a bill that the ledger could not take is kept until it can.
When the budget has ended the song may use up what it was granted and no more, and is told where to fade out. A ledger
that is away stops nobody who has begun. It must not know stores, limits or sockets.
"""

import asyncio
import logging

from gateway.accounting import Settlement
from gateway.errors import LimitError
from gateway.model import StreamId
from gateway.relay.ports import Ledger

logger = logging.getLogger("wavegate.account")

# The ledger gets this long for an answer while a song waits for it.
PATIENCE_SECONDS = 5.0
# More is asked for when less than this is left of what was granted, and that much more.
MARGIN_SECONDS = 10.0
MORE_SECONDS = 30.0


class Account:
    """Of one generation, with `granted` seconds reserved. `unsettled` is a bill that the ledger has not taken yet.

    When the budget ends the song stops, or fades out over its last `fade_seconds`.
    """

    def __init__(self, ledger: Ledger, stream_id: StreamId, granted: float, fade_seconds: float = 0.0) -> None:
        self.granted = granted
        self.unsettled: Settlement | None = None
        self._ledger = ledger
        self._id = stream_id
        self._fade_seconds = fade_seconds
        self._ended: LimitError | None = None

    async def begin(self, request_id: str) -> None:
        """The provider has begun, and this is its name for the generation."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ledger.begin(self._id, request_id or None)
        except Exception:
            logger.exception("stream %s could not be noted as begun", self._id)

    def covers(self, received: float) -> bool:
        """Whether so many seconds are reserved with a margin: then `cover` has nothing to do."""
        return received + MARGIN_SECONDS <= self.granted

    @property
    def fade(self) -> tuple[float, float] | None:
        """From which second to which the song is to fade out; None while there may be more, or if it just stops."""
        if self._ended is None or not self._fade_seconds:
            return None
        return self.granted - self._fade_seconds, self.granted

    async def cover(self, received: float) -> None:
        """Has so many seconds reserved. Raises LimitError when the budget has ended and they are not."""
        if self._ended is None and not self.covers(received):
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    self.granted += await self._ledger.extend(self._id, MORE_SECONDS)
            except LimitError as refusal:
                self._ended = refusal
            except Exception:
                logger.exception("no more seconds could be reserved for stream %s", self._id)
        if self._ended is not None and received >= self.granted:
            raise self._ended

    async def renew(self, received: float) -> None:
        """Keeps the lease, and notes what a crash would cost."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                kept = await self._ledger.renew(self._id, received)
        except Exception:
            logger.exception("the lease of stream %s was not renewed", self._id)
        else:
            if not kept:
                logger.warning("the lease of stream %s is lost: its slot has been given to others", self._id)

    async def settle(self, settlement: Settlement) -> bool:
        """Books the end; tells whether the ledger took it. Of one that it did not take, the bill stays `unsettled`."""
        self.unsettled = settlement
        return await self.settle_again()

    async def settle_again(self) -> bool:
        """Tries once more with a bill that was not taken."""
        if self.unsettled is not None:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._ledger.settle(self._id, self.unsettled)
            except Exception:
                logger.exception("stream %s is not settled: %r", self._id, self.unsettled)
                return False
            self.unsettled = None
        return True

"""A running generation's side of the ledger: what it may use, what it used, and its bill.

Invariant: it is settled once, by the end it really had; a bill that the ledger could not take is kept until it can.
When the budget has ended the song may use up what it was granted and no more, and is told where to fade out. A ledger
that is away stops nobody who has begun, and one that is slow delays nobody: it is asked in time, beside the song, and
waited for when all that was granted is used up, once and briefly. It must not know stores, limits or sockets.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any

from gateway.accounting import Settlement
from gateway.errors import LimitError
from gateway.log import event
from gateway.model import StreamId
from gateway.relay.order import Allowance
from gateway.relay.ports import Ledger

logger = logging.getLogger("wavegate.account")

# The ledger gets this long for an answer.
PATIENCE_SECONDS = 5.0
# A song waits for one that is as quick as usual, and longer where it has nothing left; then not again for that answer.
QUICK_SECONDS = 0.05
HOLD_SECONDS = 1.0
# One that did not answer is asked again after this.
AGAIN_SECONDS = 1.0
# More is asked for when less than this is left of what was granted, and that much more.
MARGIN_SECONDS = 10.0
MORE_SECONDS = 30.0


class Account:
    """Of one generation, with `granted` seconds reserved, of which an `allowance` may permit fewer.

    `unsettled` is a bill that the ledger has not taken yet; `cost` is what it came to, once it has.

    When the budget ends the song stops, or fades out over its last `fade_seconds`.
    """

    def __init__(
        self,
        ledger: Ledger,
        stream_id: StreamId,
        granted: float,
        fade_seconds: float = 0.0,
        allowance: Allowance | None = None,
    ) -> None:
        self.granted = granted if allowance is None else min(granted, allowance.taken)
        # What the ledger has reserved beyond that: where more is permitted later, it comes first.
        self._spare = granted - self.granted
        self.unsettled: Settlement | None = None
        self.cost: float | None = None
        self._ledger = ledger
        self._id = stream_id
        self._fade_seconds = fade_seconds
        self._allowance = allowance
        self._ended: LimitError | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._waited = False
        self._again_at = 0.0

    async def begin(self, request_id: str) -> None:
        """The provider has begun, and this is its name for the generation."""
        await self._finish(self._beginning)
        self._beginning = self._beside(self._note(request_id or None), "beginning")
        await asyncio.wait([self._beginning], timeout=QUICK_SECONDS)

    async def _note(self, request_id: str | None) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ledger.begin(self._id, request_id)
        except Exception:
            event(logger, "ledger.begin_failed", exc_info=True, stream_id=self._id)

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
            now = asyncio.get_running_loop().time()
            if self._asking is None and now >= self._again_at:
                self._asking, self._waited = self._beside(self._ask_for_more(), "asking for more"), False
                await asyncio.wait([self._asking], timeout=QUICK_SECONDS)
            if self._asking is not None and received >= self.granted and not self._waited:
                self._waited = True
                await asyncio.wait([self._asking], timeout=HOLD_SECONDS)
        if self._ended is not None and received >= self.granted:
            raise self._ended

    async def _ask_for_more(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.granted += await self._more()
        except LimitError as refusal:
            self._ended = refusal
        except Exception:
            event(logger, "ledger.extend_failed", exc_info=True, stream_id=self._id)
            self._again_at = asyncio.get_running_loop().time() + AGAIN_SECONDS
        finally:
            self._asking = None

    def lift(self) -> None:
        """Somebody else wants it who is bound by the tenant's budget alone."""
        if self._allowance is not None:
            self._allowance = self._ended = None

    async def _more(self) -> float:
        """How many seconds more there are. Raises LimitError when none are."""
        more = await self._allowed()
        if self._spare > 0:
            there = min(more, self._spare)
            self._spare -= there
            return there
        return await self._ledger.extend(self._id, more)

    async def _allowed(self) -> float:
        """How much more may be asked for. Raises LimitError."""
        if self._allowance is None:
            return MORE_SECONDS
        aside = self._allowance.taken - self.granted
        return aside if aside > 0 else await self._allowance.more(MORE_SECONDS)

    def _beside(self, work: Coroutine[Any, Any, None], what: str) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work, name=f"{what} of {self._id}")

    @staticmethod
    async def _finish(task: "asyncio.Task[None] | None") -> None:
        # Nobody is to see a stream that has ended, and no bill: what is done already takes no turn of the loop.
        if task is not None and not task.done():
            await asyncio.wait([task])

    async def renew(self, received: float) -> None:
        """Keeps the lease, and notes what a crash would cost."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                kept = await self._ledger.renew(self._id, received)
        except Exception:
            event(logger, "ledger.renew_failed", exc_info=True, stream_id=self._id)
        else:
            if not kept:
                event(logger, "ledger.lease_lost", stream_id=self._id)

    async def settle(self, settlement: Settlement) -> bool:
        """Books the end; tells whether the ledger took it. Of one that it did not take, the bill stays `unsettled`."""
        self.unsettled = settlement
        # Each of them ends within the ledger's time, and comes before the end in its book.
        await self._finish(self._beginning)
        await self._finish(self._asking)
        return await self.settle_again()

    async def settle_again(self) -> bool:
        """Tries once more with a bill that was not taken."""
        if self.unsettled is not None:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    row = await self._ledger.settle(self._id, self.unsettled)
                self.cost = row.cost if row is not None else None
            except Exception:
                event(logger, "ledger.unsettled", exc_info=True, stream_id=self._id, **asdict(self.unsettled))
                return False
            self.unsettled = None
        return True

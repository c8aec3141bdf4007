"""The books: what the ledger is told beside the songs of what listeners took, of slots that are kept, of late bills.

Invariant: a ledger that is slow or away delays nothing else, and what it could not be told is told with the next; a
bill outlives its stream until it is taken. It must not know who listens, nor what anything costs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from gateway.accounting import Traffic
from gateway.log import event
from gateway.model import StreamId
from gateway.relay.account import PATIENCE_SECONDS, Account
from gateway.relay.ports import Ledger
from gateway.relay.replica import AnyStream

logger = logging.getLogger("wavegate.hub")


class Books:
    """Of all streams of this node. `look` has limits on listeners looked at; `now` is monotonic, in seconds."""

    def __init__(
        self,
        streams: Mapping[StreamId, AnyStream],
        ledger: Ledger,
        look: Callable[[], Awaitable[None]],
        lease_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._ledger = ledger
        self._look = look
        self._renew_every = lease_seconds / 3
        self._now = now
        # Of streams that are kept no more: the ledger has not taken their bills yet.
        self.owing: list[Account] = []
        # What listeners took that the ledger does not know yet.
        self._untold: dict[StreamId, Traffic] = {}

    async def keep(self) -> None:
        """For ever."""
        next_renewal = self._now() + self._renew_every
        while True:
            await asyncio.sleep(1.0)
            await self.count()
            if self._now() >= next_renewal:
                next_renewal = self._now() + self._renew_every
                await asyncio.gather(*[stream.keep_lease() for stream in self._streams.values()])
                await asyncio.gather(*[account.settle_again() for account in self.owing])
                self.owing = [account for account in self.owing if account.unsettled is not None]

    def note(self, stream: AnyStream) -> None:
        """What listeners took of it since the last time, to be told with the next; also before it is kept no more."""
        if (took := stream.traffic()) is not None:
            self._untold[stream.id] = took + self._untold.get(stream.id)

    async def count(self) -> None:
        """Tells the ledger what listeners took since the last time, and has it look for leases that have ended."""
        for stream in self._streams.values():
            self.note(stream)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._untold:
                    telling, self._untold = self._untold, {}
                    try:
                        await self._ledger.heard(list(telling.values()))
                    except BaseException:
                        self._untold = telling
                        raise
                await self._ledger.sweep()
                await self._look()
        except Exception:
            event(logger, "ledger.traffic_failed", exc_info=True, streams=len(self._untold))

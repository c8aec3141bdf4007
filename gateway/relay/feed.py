"""A feed: fills a channel from the log that another node writes of the same rendition, chunk for chunk.

Invariant: the channel holds what the owner's holds, under the same numbers, each once and in order, from whichever
log it came: one that is read again from its beginning changes nothing that is there. What cannot follow on what is
there is a loss, and is said. It must not know how logs are read.
"""

import asyncio
import logging
from collections.abc import Callable

from gateway.errors import ServiceError, WavegateError
from gateway.log import event
from gateway.relay import letters
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.ports import Following

logger = logging.getLogger("wavegate.feed")


class Feed:
    """Of one channel. `on_end` is called when nothing follows, `on_loss` when the log is gone and another is needed.

    `on_loss` is told whether the owner is gone, too. `now` is monotonic. It is `whole` when it came to the end that
    its owner gave it, and not to one for want of more.
    """

    def __init__(
        self,
        channel: Channel,
        now: Callable[[], float],
        on_end: Callable[["Feed"], None],
        on_loss: Callable[["Feed", bool], None],
    ) -> None:
        self.channel = channel
        self.unheard_since: float | None = None
        self.following: Following | None = None
        self.closed = False
        self.whole = False
        self._now = now
        self._on_end = on_end
        self._on_loss = on_loss
        self._waiting: dict[asyncio.Future[None], int] = {}

    @property
    def track(self) -> None:
        """It is packed elsewhere."""

    @property
    def over(self) -> bool:
        """Whether all there will be is there."""
        return self.channel.outcome is not None

    async def reach(self, end: int, seconds: float, *, over: bool = False) -> None:
        """Waits until so many chunks are there, and, if asked for, the end too, but no longer than this."""
        if self.over or (not over and self.channel.end >= end):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = -1 if over else end
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return
        finally:
            self._waiting.pop(waiter, None)

    def close(self) -> None:
        """It reads no more, for good; the channel stays as it is. A second call does nothing."""
        self.closed = True
        if self.following is not None:
            self.following.close()
            self.following = None

    def end(self, error: WavegateError) -> None:
        """Ends the channel, of which nothing more can be had."""
        self.close()
        if self.channel.outcome is None:
            self.channel.close(error, Bill(0.0, settled=False))
            self._on_end(self)
        self._wake()

    # -- as a reader of a log ------------------------------------------------------------------------------------------

    def entry(self, entry: bytes) -> None:
        if self.over:
            return
        try:
            said = letters.read_entry(entry)
            if isinstance(said, letters.ChunkEntry):
                self._take(said)
            elif isinstance(said, letters.News):
                self.channel.tell(said.text)
            elif isinstance(said, letters.Opened):
                if self.channel.details is None:
                    self.channel.open(said.details, said.init, self._now(), said.pts, said.seq)
            else:
                self.close()
                self.whole = True
                self.channel.finish(said.outcome(self.channel.rendition.stream_id))
                self._on_end(self)
        except Exception:
            event(logger, "cluster.feed_failed", exc_info=True, stream_id=self.channel.rendition.stream_id)
            self.end(ServiceError("internal", "Something went wrong between two nodes of the gateway."))
        self._wake()

    def lost(self, owner_lost: bool) -> None:
        self.following = None
        if not self.over:
            self._on_loss(self, owner_lost)

    def _take(self, said: letters.ChunkEntry) -> None:
        channel = self.channel
        if said.seq < channel.end:
            return
        if said.seq > channel.end or channel.details is None:
            # The owner has let go of what comes next here.
            self.end(ServiceError("position_lost", "The node that made this song keeps this part of it no more."))
            return
        channel.append(said.payload, said.duration, said.flags, self._now())

    def _wake(self) -> None:
        for waiter, end in list(self._waiting.items()):
            if self.over or 0 <= end <= self.channel.end:
                del self._waiting[waiter]
                if not waiter.done():
                    waiter.set_result(None)

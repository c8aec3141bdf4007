"""Playbacks: one player that plays one song over many requests is one listener, and pays for one use of a ticket.

It is known by what it shows, by whom it plays and by who it is (address, user agent, playback id); none of that is
kept, but for a hash of it all. Invariant: no task and no timer for each: they stand in the order in which they were
last heard of, and there is a bounded number of them; whoever asks for nothing for a while is gone.
It must not know playlists or segments beyond whose they are.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.errors import ServiceError
from gateway.model import Principal
from gateway.relay.departure import COMPLETED, LEFT, MOVED, REFUSED
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener
from gateway.relay.replica import AnyStream
from gateway.relay.segments import Segments
from gateway.server.auth import Credentials, Tenants
from gateway.server.hls.presence import Presence
from gateway.server.tickets import Ticket

# A player asks for something every second. One that has all of the song in stock asks for nothing, and is let go while
# it still plays.
IDLE_SECONDS = 20.0
# One that has asked for nothing for this long is not waited for when the gateway stops.
PLAYING_SECONDS = 10.0
# Each takes about a kilobyte.
MOST_SESSIONS = 50_000
LIFETIME_SECONDS = 86400.0
_FULL_SECONDS = 5.0
_TICK_SECONDS = 1.0
# By which Apple's players tell which requests belong together.
_PLAYBACK = "X-Playback-Session-Id"


def key_of(request: web.Request, given: Credentials, choice: str) -> bytes:
    """The name of the playback that this request would belong to; `choice` is the format that is wished for."""
    parts = (
        "key" if given.ticket is None else "ticket",
        given.key or given.ticket or "",
        request.match_info["id"],
        choice,
        request.remote or "",
        request.headers.get("User-Agent", ""),
        request.headers.get(_PLAYBACK, ""),
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


class Playback:
    """One session. `over` tells that it was ended, by time or because its tenant or key is gone; `held` how many of its
    requests are waiting for something. Of how many segments its last playlist has `told` it, and when, is the door's.
    """

    __slots__ = (
        "begun",
        "held",
        "key",
        "listener",
        "over",
        "presence",
        "principal",
        "seen",
        "segments",
        "stream",
        "ticket",
        "told",
        "told_at",
    )

    def __init__(
        self,
        key: bytes,
        principal: Principal,
        ticket: Ticket | None,
        stream: AnyStream,
        listener: Listener,
        presence: Presence,
        segments: Segments,
    ) -> None:
        self.key = key
        self.principal = principal
        self.ticket = ticket
        self.stream = stream
        self.listener = listener
        self.presence = presence
        self.segments = segments
        self.begun = self.seen = 0.0
        self.over = False
        self.held = 0
        self.told = -1
        self.told_at = 0.0

    @property
    def finished(self) -> bool:
        """Whether it has been given the song's last segment."""
        channel = self.segments.channel
        return self.over or (channel.outcome is not None and self.listener.next >= channel.end)


class Playbacks:
    """All of this process; `run` is their one task. After `lifetime` seconds one is let in anew, or is not."""

    def __init__(
        self,
        hub: Hub,
        tenants: Tenants,
        now: Callable[[], float],
        most: int = MOST_SESSIONS,
        lifetime: float = LIFETIME_SECONDS,
    ) -> None:
        self._hub = hub
        self._tenants = tenants
        self._now = now
        self._most = most
        self._lifetime = lifetime
        self._all: OrderedDict[bytes, Playback] = OrderedDict()
        self._opening: dict[bytes, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def playing(self) -> bool:
        """Whether a player has asked for something just now, and has not all of its song."""
        horizon = self._now() - PLAYING_SECONDS
        return any(playback.seen > horizon and not playback.finished for playback in self._all.values())

    def find(self, key: bytes) -> Playback | None:
        """The one of this name, which has been heard of now; None if there is none."""
        playback = self._all.get(key)
        if playback is None:
            return None
        if self._now() - playback.begun > self._lifetime:
            # Asking again and again would make a ticket good for ever, and keep a song for ever.
            self.end(playback)
            return None
        self.heard_of(playback)
        return playback

    def heard_of(self, playback: Playback) -> None:
        """It is still there."""
        if not playback.over:
            playback.seen = self._now()
            self._all.move_to_end(playback.key)

    async def open(self, key: bytes, begin: Callable[[], Awaitable[Playback]]) -> Playback:
        """The one of this name, begun if it is not there: once, however many ask at once. Raises as `begin` does."""
        while (opening := self._opening.get(key)) is not None:
            await asyncio.wait([opening])
        if (playback := self.find(key)) is not None:
            return playback
        if len(self._all) + len(self._opening) >= self._most:
            raise ServiceError(
                "overloaded", "Too many players at once: come back in a moment.", retry_after=_FULL_SECONDS
            )
        opening = self._opening[key] = asyncio.get_running_loop().create_future()
        try:
            playback = await begin()
        finally:
            del self._opening[key]
            opening.set_result(None)
        self._all[key] = playback
        playback.begun = self._now()
        self.heard_of(playback)
        if not self._tenants.holds(playback.principal):
            # They were changed while it began.
            self.end(playback, REFUSED)
        return playback

    async def run(self) -> None:
        """Ticks for ever: lets go who is gone."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Ends those that have asked for nothing for too long."""
        horizon = self._now() - IDLE_SECONDS
        while self._all:
            oldest = next(iter(self._all.values()))
            if oldest.seen > horizon:
                break
            if oldest.held:
                self.heard_of(oldest)
            else:
                self.end(oldest)

    def recheck(self) -> None:
        """Tenants or keys have changed: ends those that would not be let in any more."""
        for playback in [one for one in self._all.values() if not self._tenants.holds(one.principal)]:
            self.end(playback, REFUSED)

    def close(self) -> None:
        """Ends all."""
        for playback in list(self._all.values()):
            self.end(playback, MOVED)

    def end(self, playback: Playback, reason: str = LEFT) -> None:
        """Its listener leaves. A second call does nothing."""
        if playback.over:
            return
        playback.over = True
        del self._all[playback.key]
        finished = reason == LEFT and playback.finished
        self._hub.detach(playback.stream.tenant, playback.listener, COMPLETED if finished else reason)

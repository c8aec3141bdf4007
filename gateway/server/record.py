"""What the log tells of one WebSocket session: its lines name it, and at its end there is one with all of it.

Invariant: one line a session, whatever ended it; of credentials only the name.
It must not know messages or streams.
"""

import logging
import time
from collections.abc import Callable

from gateway.errors import WavegateError
from gateway.log import adopt, binding, bound
from gateway.log import event as log_event
from gateway.relay.listener import Heard, Listener
from gateway.server.visitor import Visitor

logger = logging.getLogger("wavegate.session")

_OURS = 500


class Record:
    """Of one session, from its handshake on; what was bound to that is bound to all it does."""

    __slots__ = ("_began", "_heard", "_id", "_known", "_now", "_streams", "messages")

    def __init__(self, session_id: str, now: Callable[[], float] = time.monotonic) -> None:
        self._id = session_id
        self._known = bound()
        self._now = now
        self._began = now()
        self._heard = Heard(0, 0, 0.0)
        self._streams: set[str] = set()
        self.messages = 0
        log_event(logger, "session.began", session_id=session_id, client=self._known.origin.client)

    def works(self, visitor: Visitor | None) -> None:
        """From now on lines of this task belong to the session, and what it begins began now."""
        origin = self._known.origin._replace(at=time.time())
        tenant, key = named(visitor)
        adopt(self._known._replace(origin=origin), session_id=self._id, tenant=tenant, key=key)

    def refused(self, error: WavegateError, visitor: Visitor | None) -> None:
        """It was told an error."""
        tenant, key = named(visitor)
        level = logging.WARNING if error.handling.status >= _OURS else None
        with binding(self._known, session_id=self._id, key=key):
            log_event(logger, "session.refused", level=level, code=error.code, param=error.param, tenant=tenant)

    def heard(self, listener: Listener) -> None:
        """One of its listeners has left."""
        got = listener.heard
        mine = self._heard
        self._heard = Heard(mine.chunks + got.chunks, mine.size + got.size, mine.seconds + got.seconds)
        self._streams.add(listener.channel.rendition.stream_id)

    def ended(self, close_code: int, reason: str, visitor: Visitor | None) -> None:
        """Its connection is gone."""
        tenant, key = named(visitor)
        origin, heard = self._known.origin, self._heard
        with binding(self._known):
            log_event(
                logger,
                "session.ended",
                session_id=self._id,
                tenant=tenant,
                key=key,
                client=origin.client,
                close_code=close_code,
                reason=reason or None,
                wall_seconds=round(self._now() - self._began, 3),
                streams=len(self._streams),
                heard_seconds=round(heard.seconds, 3),
                chunks=heard.chunks,
                bytes=heard.size,
                messages=self.messages,
                agent=origin.agent,
            )


def named(visitor: Visitor | None) -> tuple[str | None, str | None]:
    """The tenant, and the name of the key or ticket; of nobody, nothing."""
    return (None, None) if visitor is None else (visitor.principal.tenant, visitor.principal.key_id)

"""One listener from its coming to its going, as the log tells of it in a line.

Invariant: one line each, whatever ended it; of one on a WebSocket at level debug, for its session's line has the
sum. It must not know the door but by its name.
"""

import logging
from typing import NamedTuple

from gateway.log import Bound, binding
from gateway.log import event as log_event
from gateway.model import TenantId
from gateway.relay.listener import Listener

logger = logging.getLogger("wavegate.playback")


class Visit(NamedTuple):
    """`known` is what was bound to the request that brought it, `since` monotonic."""

    tenant: TenantId
    known: Bound
    since: float

    def began(self, listener: Listener) -> None:
        """It is let in."""
        log_event(
            logger,
            "playback.began",
            stream_id=listener.channel.rendition.stream_id,
            tenant=self.tenant,
            door=listener.transport.name,
            format=listener.channel.format.name,
        )

    def ended(self, listener: Listener, now: float) -> None:
        """It is gone."""
        heard, origin = listener.heard, self.known.origin
        with binding(self.known):
            log_event(
                logger,
                "playback.ended",
                level=logging.DEBUG if listener.transport.name == "websocket" else None,
                stream_id=listener.channel.rendition.stream_id,
                tenant=self.tenant,
                door=listener.transport.name,
                format=listener.channel.format.name,
                how=listener.how,
                wall_seconds=round(now - self.since, 3),
                heard_seconds=round(heard.seconds, 3),
                chunks=heard.chunks,
                bytes=heard.size,
                client=origin.client,
                agent=origin.agent,
            )

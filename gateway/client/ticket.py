"""Minting a ticket with a tenant's key, for `wavegate ticket`: one request over HTTP.

Invariant: every wait is bounded; the key goes to the server that was named and nowhere else, and into no error.
It must not know what a ticket's bytes mean.
"""

from gateway.client.address import door
from gateway.client.credentials import Credentials
from gateway.client.rest import Door
from gateway.protocol.messages import TicketBody


def mint(server: str, key: str, stream_id: str | None, ttl_seconds: int, uses: int) -> tuple[str, int]:
    """The ticket, and until when it is good in Unix seconds; `uses` of 0 is until then. Raises ClientError."""
    minted = Door(door(server), Credentials(key).key).mint(TicketBody(stream_id, ttl_seconds=ttl_seconds, uses=uses))
    return minted.ticket, minted.expires_at

"""Opens the ticket office: with the secrets of a file, or with the one that the store of uses makes and keeps.

Invariant: without a secret that outlives this process there is no office, since its tickets would die with it.
It must not know what tickets are for.
"""

import asyncio
import secrets

from gateway.errors import ServiceError, StartError
from gateway.quota.uses import Uses
from gateway.server.signing import SECRET_BYTES, SigningKeys, read_ticket_secrets
from gateway.server.tickets import TicketOffice


async def opened(file: str | None, uses: Uses) -> TicketOffice:
    """The office. Raises StartError where its secrets cannot be had."""
    if file is not None:
        return TicketOffice(SigningKeys(await asyncio.to_thread(read_ticket_secrets, file)))
    try:
        return TicketOffice(SigningKeys([await uses.secret(secrets.token_bytes(SECRET_BYTES))]))
    except ServiceError:
        sentence = "what signs tickets is kept in Redis, which is away; name a file for it."
        raise StartError(f"server.ticket_secret_file: {sentence}") from None

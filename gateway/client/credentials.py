"""Who a client is: a tenant with a key, or a guest with a ticket, which may be got anew for each connection.

Invariant: what would break a header is refused before anybody is asked, and neither a key nor a ticket is ever part of
a message or a representation. It must not know where they are sent.
"""

from collections.abc import Awaitable, Callable

from gateway.client.errors import ClientError

Ticket = str | Callable[[], Awaitable[str]]


class Credentials:
    """Raises ClientError `missing_credentials`, `invalid_key`, `invalid_ticket`. With both, the key counts."""

    def __init__(self, key: str | None = None, ticket: Ticket | None = None) -> None:
        if key is None and ticket is None:
            raise ClientError("missing_credentials", "Give the client a key or a ticket.")
        if key is not None and not (key.isascii() and key.isprintable() and key and " " not in key):
            raise ClientError("invalid_key", "A key is made of printable ASCII characters without spaces.")
        self.key = key
        self._ticket = ticket if key is None else None
        if isinstance(self._ticket, str):
            _check(self._ticket)

    @property
    def renewable(self) -> bool:
        """Whether what has expired can be had anew."""
        return callable(self._ticket)

    async def ticket(self) -> str | None:
        """The ticket for one connection; None for who has a key. Raises ClientError, and what the function raises."""
        if not callable(self._ticket):
            return self._ticket
        ticket = await self._ticket()
        _check(ticket)
        return ticket


def _check(ticket: str) -> None:
    if not (ticket.isascii() and ticket):
        raise ClientError("invalid_ticket", "A ticket is made of ASCII characters.")

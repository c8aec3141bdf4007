"""A connection's claim: in whose name it is here, and what that one has had.

Invariant: a claim is left exactly once, however often it is said; what is asked of it costs its address, and nobody
else. It must not know how much anybody may have.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from gateway.errors import AccessError, LimitError
from gateway.server.pace import Pace

# Of an address of IPv6, what tells one network from another.
IPV6_BYTES = 8


class Prefix:
    """One address, or one network of IPv6, of which `here` connections are open."""

    __slots__ = ("arrivals", "guesses", "here", "key", "requests")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.here = 0
        self.arrivals = Pace()
        self.requests = Pace()
        self.guesses = Pace()

    @property
    def text(self) -> str:
        """As it is written."""
        if len(self.key) == IPV6_BYTES:
            return f"{IPv6Address(self.key + bytes(IPV6_BYTES))}/64"
        return str(IPv4Address(self.key))


class Keeper(Protocol):
    """Who knows how much that may be."""

    def left(self, prefix: Prefix) -> None:
        """One of its connections is gone."""
        ...

    def request(self, prefix: Prefix) -> None:
        """It makes one more request. Raises LimitError."""
        ...

    def guessed(self, prefix: Prefix) -> None:
        """A credential of its was wrong. Raises LimitError."""
        ...


class Claim:
    """One connection's share of what its address may have; without a prefix, of everything. `leave` ends it."""

    __slots__ = ("_keeper", "_prefix", "parting")

    def __init__(self, keeper: Keeper, prefix: Prefix | None) -> None:
        self._keeper = keeper
        self._prefix = prefix
        # Whether the connection is to end with the answer that is being made.
        self.parting = False

    def leave(self) -> None:
        """The connection is gone. A second call does nothing."""
        prefix, self._prefix = self._prefix, None
        if prefix is not None:
            self._keeper.left(prefix)

    def request(self) -> None:
        """One more request. Raises LimitError."""
        if self._prefix is not None:
            self._keeper.request(self._prefix)

    def guessed(self) -> None:
        """A credential was wrong. Raises LimitError where they were too many: then the connection is to end, too."""
        if self._prefix is not None:
            try:
                self._keeper.guessed(self._prefix)
            except LimitError:
                self.parting = True
                raise


@contextmanager
def guarding(claim: Claim | None) -> Iterator[None]:
    """In here credentials are looked at: of too many that are wrong is said only that they were too many.

    Raises LimitError in place of AccessError `bad_credentials`.
    """
    try:
        yield
    except AccessError as error:
        if error.code == "bad_credentials" and claim is not None:
            claim.guessed()
        raise

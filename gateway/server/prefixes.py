"""What each address of the internet may have of this process: connections, requests, and wrong credentials.

An address is that of the client, as far as trusted proxies tell it; of IPv6 the first 64 bits count, for whoever has
one such address has all of them. Proxies and this machine itself have no limit here: many clients are behind them.
Invariant: what is remembered is bounded, whoever comes: an entry for each that is there, and for MOST_AWAY that are
not, of which the least recently seen is forgotten first. A good credential is good at any time: a neighbour's guesses
shut nobody out, since what a guess costs is less than the request that brings it. It must not know keys or doors.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address

from gateway.config.server import Server
from gateway.errors import LimitError
from gateway.log import event
from gateway.server.claim import IPV6_BYTES, Claim, Prefix
from gateway.server.forwarding import Address, address_of
from gateway.server.pace import Rate
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.prefixes")

# Addresses without a connection that are remembered, at about 300 bytes each.
MOST_AWAY = 16384
# Requests may come for so long faster than they should: a page asks for many things at once.
BURST_SECONDS = 10.0
# For those who have too many connections: nobody knows when one ends.
_RETRY_SECONDS = 5.0


class Prefixes:
    """The table. `exempt` tells which addresses are proxies of ours."""

    def __init__(
        self, server: Server, exempt: Callable[[Address | None], bool], recorder: Recorder, now: Callable[[], float]
    ) -> None:
        self._most = server.max_connections_per_address
        self._arrivals = Rate.over(server.connections_per_minute_per_address, 60.0)
        self._requests = Rate.over(server.requests_per_minute_per_address, BURST_SECONDS)
        self._guesses = Rate.over(server.bad_credentials_per_minute_per_address, 60.0)
        self._exempt = exempt
        self._recorder = recorder
        self._now = now
        self._here: dict[bytes, Prefix] = {}
        self._away: OrderedDict[bytes, Prefix] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._here) + len(self._away)

    def proxied(self, address: str | None) -> bool:
        """Whether this is a proxy of ours, which speaks for others."""
        return self._exempt(address_of(address))

    def arrive(self, address: str | None) -> None:
        """A connection comes from there. Raises LimitError."""
        prefix = self._of(address)
        if prefix is not None and (wait := prefix.arrivals.take(self._arrivals, self._now())):
            raise self._refusal(prefix, "address_rate", "Too many connections come from this address.", wait)

    def enter(self, address: str | None) -> Claim:
        """It is here from now on. Raises LimitError."""
        prefix = self._of(address)
        if prefix is not None:
            if self._most and prefix.here >= self._most:
                sentence = f"All {self._most} connections that one address may have at once are open."
                raise self._refusal(prefix, "address_connections", sentence, _RETRY_SECONDS)
            prefix.here += 1
            self._away.pop(prefix.key, None)
            self._here[prefix.key] = prefix
        return Claim(self, prefix)

    # -- for claims ----------------------------------------------------------------------------------------------------

    def left(self, prefix: Prefix) -> None:
        prefix.here -= 1
        if not prefix.here:
            del self._here[prefix.key]
            self._remember(prefix)

    def request(self, prefix: Prefix) -> None:
        """Raises LimitError."""
        if wait := prefix.requests.take(self._requests, self._now()):
            raise self._refusal(prefix, "address_rate", "Too many requests come from this address.", wait)

    def guessed(self, prefix: Prefix) -> None:
        """A credential was wrong. Raises LimitError."""
        if wait := prefix.guesses.take(self._guesses, self._now()):
            raise self._refusal(prefix, "credentials", "Too many wrong keys or tickets come from this address.", wait)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _of(self, address: str | None) -> Prefix | None:
        found = address_of(address)
        if found is None or found.is_loopback or self._exempt(found):
            return None
        key = found.packed if isinstance(found, IPv4Address) else found.packed[:IPV6_BYTES]
        prefix = self._here.get(key) or self._away.get(key)
        if prefix is None:
            prefix = Prefix(key)
        if not prefix.here:
            self._remember(prefix)
        return prefix

    def _remember(self, prefix: Prefix) -> None:
        """As the one that was seen last."""
        self._away[prefix.key] = prefix
        self._away.move_to_end(prefix.key)
        if len(self._away) > MOST_AWAY:
            self._away.popitem(last=False)

    def _refusal(self, prefix: Prefix, reason: str, sentence: str, wait: float) -> LimitError:
        self._recorder.refused(reason)
        event(logger, "address.limited", reason=reason, client=prefix.text)
        code = "concurrency_exceeded" if reason == "address_connections" else "rate_exceeded"
        return LimitError(code, f"{sentence} Come back later.", retry_after=wait)

"""Who is behind a request that came by way of proxies: the client's address, and what it calls this gateway.

The one place where such things are decided: behind the middleware `remote`, `scheme` and `url` of a request are the
client's, and `host_of` is the name it used. Invariant: only what a trusted proxy says is believed, of a chain of them
as far back as the proxies are trusted; of the two families of headers one is believed and the other is a client's own.
It must not know what is asked for.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.server.callers import Caller

Address = IPv4Address | IPv6Address
Family = Literal["x-forwarded", "forwarded"]

# What the client calls the gateway, where a proxy has said so.
_HOST = web.RequestKey("host", str)
# Hops that are looked at; nobody has so many.
MOST_HOPS = 32
# A name or an address, and perhaps a port: what may stand in an address of ours.
_HOSTNAME = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?", re.ASCII)
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+):\d+", re.ASCII)
# name=token or name="quoted", then ; , or the end (RFC 7239, 4).
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*([;,]|\Z)', re.ASCII)


def host_of(request: web.Request) -> str | None:
    """What the client calls this gateway, perhaps with a port."""
    said: str | None = request.get(_HOST)
    return request.headers.get("Host") if said is None else said


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of whoever connected to it."""

    client: Address | None
    scheme: str | None = None
    host: str | None = None


class Forwarding:
    """`trusted` are addresses and networks; `family` which headers their proxies set."""

    def __init__(self, trusted: Sequence[str] = (), family: Family = "x-forwarded") -> None:
        self.replace(trusted, family)

    def replace(self, trusted: Sequence[str], family: Family) -> None:
        """From now on these."""
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(one, strict=False) for one in trusted]
        self._family = family

    def trusts(self, address: Address | None) -> bool:
        """Whether this is a proxy of ours."""
        return address is not None and any(address in network for network in self._networks)

    def believed(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a connection is that of a proxy of ours."""
        peer = transport.get_extra_info("peername")
        return isinstance(peer, tuple) and self.trusts(address_of(str(peer[0])))

    @property
    def middleware(self) -> Middleware:
        """The outermost of all."""

        @web.middleware
        async def forwarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await handler(self.seen(request))

        return forwarded

    def seen(self, request: web.Request) -> web.Request:
        """The request as its client made it."""
        if not self._networks:
            return request
        peer = address_of(request.remote)
        source = request.protocol.source if isinstance(request.protocol, Caller) else None
        if self.trusts(peer):
            hop = self._first_hop(peer, request)
        elif source is not None and source.secure:
            hop = Hop(None, "https")
        else:
            return request
        # An address that came with the request line wins over its Host, as it does without a proxy.
        host = hop.host if request.raw_path.startswith("/") else None
        client = str(hop.client) if hop.client is not None else request.remote
        remote, scheme = client or "", hop.scheme or request.scheme
        if host is None:
            return request.clone(remote=remote, scheme=scheme)
        cloned = request.clone(remote=remote, scheme=scheme, host=host)
        cloned[_HOST] = host
        return cloned

    def _first_hop(self, peer: Address | None, request: web.Request) -> Hop:
        """What the outermost of the trusted proxies says."""
        hops = _forwarded(request) if self._family == "forwarded" else _x_forwarded(request)
        found = Hop(peer)
        for hop in reversed(hops):
            if not self.trusts(found.client):
                break
            if hop.client is None:
                # It does not say for whom: what is behind it is nobody's word. Of name and scheme it may know.
                return Hop(found.client, hop.scheme, hop.host)
            found = hop
        return found


def address_of(text: str | None) -> Address | None:
    """An address as it stands in a header or at a socket, perhaps with a port; None for what is none."""
    if text is None:
        return None
    text = text.strip()
    if (match := _WITH_PORT.fullmatch(text)) is not None:
        text = match[1] or match[2]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _x_forwarded(request: web.Request) -> list[Hop]:
    """Of three lists that need not be equally long: where one is shorter, its last word is the nearest proxy's."""
    clients, schemes, hosts = (_listed(request, f"X-Forwarded-{name}") for name in ("For", "Proto", "Host"))
    hops = []
    for at in range(max(1, len(clients))):
        client = address_of(clients[at]) if clients else None
        scheme = schemes[at if len(schemes) == len(clients) else -1] if schemes else None
        host = hosts[at if len(hosts) == len(clients) else -1] if hosts else None
        hops.append(Hop(client, _scheme(scheme), _host(host)))
    return hops


def _listed(request: web.Request, name: str) -> list[str]:
    return [word.strip() for word in ",".join(request.headers.getall(name, [])).split(",") if word.strip()][-MOST_HOPS:]


def _forwarded(request: web.Request) -> list[Hop]:
    """The elements of Forwarded; of a header that cannot be read none is believed."""
    text, at, hops = ",".join(request.headers.getall("Forwarded", [])), 0, list[Hop]()
    pairs: dict[str, str] = {}
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return []
        name, quoted, bare, end = found.groups()
        pairs[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        at = found.end()
        if end != ";":
            hops.append(Hop(address_of(pairs.get("for")), _scheme(pairs.get("proto")), _host(pairs.get("host"))))
            pairs = {}
    return hops[-MOST_HOPS:]


def _scheme(word: str | None) -> str | None:
    return _SCHEMES.get(word.lower()) if word is not None else None


def _host(word: str | None) -> str | None:
    return word if word is not None and _HOSTNAME.fullmatch(word) else None

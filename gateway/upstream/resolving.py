"""Names to addresses, for a process that stands inside somebody's network and is told by others whom to ask.

A pattern such as `*.aliyuncs.com` lets everybody in who is given a name below it, and such a name may lead anywhere.
Invariant: a name that the operator has not written out leads to public addresses only: never to this machine, to its
network or to what a cloud tells its machines; what is looked up is what is connected to.
It must not know what is fetched.
"""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.errors import UpstreamError

# Addresses of IPv6 that stand for one of IPv4, in their last four bytes.
_NAT64 = IPv6Network("64:ff9b::/96")


class PublicResolver(AbstractResolver):
    """`trusted` tells whether a name may lead anywhere.

    Raises UpstreamError `upstream_refused` for one that may not and does, OSError for one that there is not.
    """

    def __init__(self, trusted: Callable[[str], bool], inner: AbstractResolver | None = None) -> None:
        self._trusted = trusted
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if self._trusted(host):
            return found
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise UpstreamError(
                "upstream_refused",
                "The provider's result is at a name that leads to a closed network. "
                "The operator must check upstream.audio_hosts.",
            )
        return public

    async def close(self) -> None:
        await self._inner.close()


def is_public(text: str) -> bool:
    """Whether this is an address of the internet, whatever it is wrapped in."""
    address = ip_address(text.partition("%")[0])
    return _unwrapped(address).is_global and not address.is_multicast


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address

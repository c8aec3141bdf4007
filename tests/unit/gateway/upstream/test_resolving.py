"""Names that others have chosen lead to public addresses only.

Invariant under test: what is refused is refused before anything is connected to, whatever an address is wrapped in.
Names are looked up by a stand-in: no test asks a name server.
"""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.errors import UpstreamError
from gateway.upstream.resolving import PublicResolver, is_public

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
]
OUTSIDE = ["8.8.8.8", "47.95.1.1", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


class Book(AbstractResolver):
    """Gives these addresses for any name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside(address: str) -> None:
    """This machine, its networks, what clouds tell their machines; of one wrapped in another, the inner one counts."""
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_outside(address: str) -> None:
    """Addresses of the internet."""
    assert is_public(address)


async def test_a_name_leads_to_public_addresses_only() -> None:
    """Of several the others are left out; where there is no other it is refused in a sentence for the operator."""
    book = Book(*INSIDE, *OUTSIDE)
    resolver = PublicResolver(lambda host: False, book)
    assert [one["host"] for one in await resolver.resolve("a.aliyuncs.com", 80)] == OUTSIDE
    book.addresses = tuple(INSIDE)
    with pytest.raises(UpstreamError) as caught:
        await resolver.resolve("a.aliyuncs.com", 80)
    assert caught.value.code == "upstream_refused"
    assert "audio_hosts" in caught.value.message
    await resolver.close()
    assert book.closed


async def test_a_name_of_the_operators_own_leads_anywhere() -> None:
    """The provider's host, and what is written out."""
    resolver = PublicResolver(lambda host: host == "storage.internal", Book("10.0.0.1"))
    assert [one["host"] for one in await resolver.resolve("storage.internal", 80)] == ["10.0.0.1"]


async def test_it_asks_the_system_by_itself() -> None:
    """Without a stand-in: this machine's own name for itself is no public one."""
    resolver = PublicResolver(lambda host: False)
    with pytest.raises(UpstreamError):
        await resolver.resolve("localhost", 80)

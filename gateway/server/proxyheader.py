"""The header by which a proxy says on whose behalf it connects: the PROXY protocol, versions 1 and 2, octets only.

Follows haproxy's proxy-protocol.txt. Invariant: a header is bounded and is read to its last octet and no further; what
is none is refused and never guessed at. It must not know whether the one who sends it is to be believed.
"""

import ipaddress
import struct
from dataclasses import dataclass

_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = b"PROXY "
_MOST_V1 = 107
# Addresses take 36 at most; the rest are a proxy's remarks, of which those known take some hundreds.
_MOST_V2 = 4096
_HEAD_V2 = 16
_SSL = 0x20  # the remark that tells of the client's TLS
_CLIENT_SSL = 0x01


class ProxyHeaderError(ValueError):
    """The connection does not begin with a header that can be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """The client as its proxy tells it; `secure` if it came to the proxy by TLS, as far as that is told."""

    address: str
    port: int
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header of `size` octets; without a `source` the connection is the proxy's own."""

    source: Source | None
    size: int


def read_header(data: bytes) -> Header | None:
    """What the connection begins with; None as long as more has to come. Raises ProxyHeaderError."""
    if _V2.startswith(data[: len(_V2)]):
        return _second(data) if len(data) >= _HEAD_V2 else None
    if _V1.startswith(data[: len(_V1)]):
        return _first(data)
    raise ProxyHeaderError("it begins with something else")


def _first(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _MOST_V1)
    if end < 0:
        if len(data) >= _MOST_V1:
            raise ProxyHeaderError("its line has no end")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("it is not ASCII") from None
    if words[1:2] == ["UNKNOWN"]:
        return Header(None, end + 2)
    kinds = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}
    try:
        _, kind, source, target, port, target_port = words
        address = kinds[kind](source)
        kinds[kind](target)
        if not all(number.isdecimal() and int(number) < 65536 for number in (port, target_port)):
            raise ValueError
    except (ValueError, KeyError):
        raise ProxyHeaderError("its line cannot be read") from None
    return Header(Source(str(address), int(port)), end + 2)


def _second(data: bytes) -> Header | None:
    version, command, family, length = data[12] >> 4, data[12] & 0xF, data[13], int.from_bytes(data[14:16], "big")
    size = _HEAD_V2 + length
    if version != 2 or command > 1 or size > _MOST_V2:
        raise ProxyHeaderError("it is of no known kind")
    if len(data) < size:
        return None
    body = data[_HEAD_V2:size]
    if command == 0 or family not in (0x11, 0x21):
        # A look at whether we are there, or a way that is no TCP.
        return Header(None, size)
    width = 4 if family == 0x11 else 16
    if length < 2 * width + 4:
        raise ProxyHeaderError("its addresses are cut off")
    address = ipaddress.ip_address(body[:width])
    (port,) = struct.unpack_from("!H", body, 2 * width)
    return Header(Source(str(address), port, _secure(body[2 * width + 4 :])), size)


def _secure(remarks: bytes) -> bool:
    """Whether one of the remarks tells that the client came by TLS."""
    while len(remarks) >= 3:
        kind, length = remarks[0], int.from_bytes(remarks[1:3], "big")
        if len(remarks) < 3 + length:
            break
        if kind == _SSL and length:
            return bool(remarks[3] & _CLIENT_SSL)
        remarks = remarks[3 + length :]
    return False

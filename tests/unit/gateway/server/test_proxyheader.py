"""PROXY headers, octet by octet: whole ones, cut ones, and what only looks like one.

Invariant under test: a header ends where it ends, however it comes in, and what is none is refused at once.
It must not know who sends it.
"""

import ipaddress
import struct

import pytest

from gateway.server.proxyheader import Header, ProxyHeaderError, Source, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def second(command: int = 1, family: int = 0x11, body: bytes | None = None, *, version: int = 2) -> bytes:
    """A header of version 2, of 203.0.113.7:4711 unless a body is given."""
    if body is None:
        body = ipaddress.ip_address("203.0.113.7").packed + ipaddress.ip_address("10.0.0.1").packed
        body += struct.pack("!HH", 4711, 443)
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(body)) + body


SIX = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + struct.pack("!HH", 1, 2)
FOUR = second()[16:]
GOOD = {
    "first, of four": (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", Source("203.0.113.7", 4711)),
    "first, of six": (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", Source("2001:db8::7", 4711)),
    "first, its longest": (
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        None,
    ),
    "first, unknown": (b"PROXY UNKNOWN\r\n", None),
    "second, of four": (second(), Source("203.0.113.7", 4711)),
    "second, of six": (second(family=0x21, body=SIX), Source("2001:db8::7", 1)),
    "second, a look": (second(command=0, family=0, body=b""), None),
    "second, no TCP": (second(family=0x31, body=bytes(216)), None),
    "second, with remarks": (second(body=FOUR + b"\x04\x00\x02ab"), Source("203.0.113.7", 4711)),
    "second, by TLS": (second(body=FOUR + b"\x04\x00\x00\x20\x00\x05\x01\0\0\0\0"), Source("203.0.113.7", 4711, True)),
    "second, by none": (second(body=FOUR + b"\x20\x00\x05\x00\0\0\0\0"), Source("203.0.113.7", 4711)),
    "second, remarks cut off": (second(body=FOUR + b"\x20\x00\x09\x01"), Source("203.0.113.7", 4711)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_read_to_its_end_and_no_further(name: str) -> None:
    """Whole or in pieces: nothing is known before its last octet is there, and what stands behind it is not touched."""
    data, source = GOOD[name]
    for size in range(len(data)):
        assert read_header(data[:size]) is None
    assert read_header(data + b"GET / HTTP/1.1\r\n\r\n") == Header(source, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 1\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 +711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
        b"PROXY TCP5 203.0.113.7 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.\xb1 4711 443\r\n",
        b"PROXY TCP4 " + b"1" * 96,
        second(version=1),
        second(command=2),
        second(body=FOUR[:11]),
        second(family=0x21),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    """Other protocols, broken lines, and more than a proxy has to say."""
    with pytest.raises(ProxyHeaderError):
        read_header(data)

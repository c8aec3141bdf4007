"""What a request says besides its body: ranges, queries, credentials, tickets, and what proxies add.

Invariant under test: any text is a value or the refusal that is documented; a ticket that this gateway did not give out
is never good; a part of a song lies within the song; of a proxy's header no octet too many is read.
"""

from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import parse_qsl

from multidict import CIMultiDict, MultiDict

from gateway.errors import AccessError, RequestError
from gateway.model import TenantId
from gateway.relay.wishes import possible
from gateway.server.auth import credentials
from gateway.server.forwarding import MOST_HOPS, Forwarding, address_of
from gateway.server.listing import listed, rows
from gateway.server.proxyheader import ProxyHeaderError, read_header
from gateway.server.query import asked_format
from gateway.server.ranges import Body, Part, UnsatisfiableRangeError, part_of
from gateway.server.tickets import PREFIX, Wanted
from gateway.server.usage import span_of, wants_csv
from tests.fuzz.target import Target, tried
from tests.support.tickets import NOW, octets, office, token_of

_BODIES = (
    Body(1000, whole=True, anchored=True, tag='"a"'),
    Body(1, whole=True, anchored=True, tag='"a"'),
    Body(500, whole=False, anchored=True, tag='"a"'),
    Body(0, whole=False, anchored=True, tag='"a"'),
    Body(500, whole=False, anchored=False, tag='"a"'),
)
_FAMILIES: tuple[Literal["x-forwarded", "forwarded"], ...] = ("x-forwarded", "forwarded")


def span(data: bytes) -> None:
    """A Range is a part of what is there, everything, or one of the two documented refusals."""
    text = data.decode("latin-1")
    for body in _BODIES:
        part = tried(partial(part_of, {"Range": text}, body), UnsatisfiableRangeError, RequestError)
        if not isinstance(part, Part):
            assert isinstance(part, UnsatisfiableRangeError) or getattr(part, "code", "") == "position_lost"
            continue
        assert 0 <= part.first <= body.held
        if part.length is not None:
            assert 0 <= part.length <= body.held - part.first
        assert part.content_range is None or part.content_range.startswith(f"bytes {part.first}-")


def query(data: bytes) -> None:
    """What stands behind a question mark: formats that can be made, spans of time, pages; or a RequestError."""
    text = data.decode("utf-8", "replace")
    pairs: MultiDict[str] = MultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=None))
    for extension in ("mp3", "pcm", "wav"):
        with suppress(RequestError):
            for wished in possible([asked_format(extension, pairs)]):
                assert wished.form.name == extension
    with suppress(RequestError):
        since, until = span_of(pairs, NOW)
        assert since <= until
    with suppress(RequestError):
        assert 1 <= rows(pairs, 50, 500) <= 500
    assert wants_csv(text) in (True, False)
    _nobody(pairs)


def _nobody(pairs: MultiDict[str]) -> None:
    """The page of a tenant that has no streams, without a loop: what it asks of the hub is not awaited for long."""

    class Empty:
        async def everywhere(self, tenant: TenantId) -> list[object]:
            del tenant
            return []

    hub: Any = Empty()
    running = listed(hub, TenantId("acme"), pairs, "http://x")
    done = tried(partial(running.send, None), StopIteration, RequestError)
    assert not isinstance(done, StopIteration) or done.value.streams == []


_OFFICE = office()
_TENANT = TenantId("acme")
_GOOD = _OFFICE.mint(_TENANT, Wanted()).token.reveal()
_KNOWN = {_GOOD, _OFFICE.mint(_TENANT, Wanted(stream_id="st_1", uses=0, origin="https://play.example")).token.reveal()}


def ticket(data: bytes) -> None:
    """Forged or changed, as text or as the octets of one, a ticket is refused without a reason; only ours are good."""
    for token in (data.decode("utf-8", "replace"), data.decode("latin-1"), token_of(data), PREFIX + data.hex()):
        for origin in (None, "https://play.example"):
            found = tried(partial(_OFFICE.verify, token, origin), AccessError)
            if isinstance(found, AccessError):
                assert found.code in ("bad_credentials", "credentials_expired", "origin_forbidden")
                assert found.code == "bad_credentials" or token in _KNOWN
            else:
                assert token in _KNOWN
                assert found.tenant == _TENANT


def credential(data: bytes) -> None:
    """Headers, subprotocols and queries give one credential, none, or `bad_credentials`; none of them shows it."""
    text = data.decode("utf-8", "surrogateescape")
    names = [f"wavegate.key.{text}", f"wavegate.ticket.{text}", text]
    for headers, pairs, offered in (
        ({"Authorization": text}, {}, ()),
        ({}, {}, names[:1]),
        ({}, {}, names[1:2]),
        ({}, {"ticket": text}, names[2:]),
    ):
        found = tried(partial(credentials, headers, pairs, offered), AccessError)
        if isinstance(found, AccessError):
            assert found.code == "bad_credentials"
            continue
        assert not (found.key and found.ticket)
        assert len(text) < 8 or text not in repr(found)


def proxy(data: bytes) -> None:
    """A PROXY header is whole, unfinished or refused; more octets behind it change nothing, and fewer never lie."""
    try:
        found = read_header(data)
    except ProxyHeaderError:
        return
    if found is None:
        assert len(data) < 4096
        return
    assert 0 < found.size <= len(data)
    assert read_header(data[: found.size] + b"GET / HTTP/1.1") == found
    for size in (0, 1, 12, 16, found.size // 2, found.size - 1):
        assert size >= found.size or read_header(data[:size]) is None, "nothing is told before it is whole"
    if found.source is not None:
        ip_address(found.source.address)
        assert 0 <= found.source.port < 65536


def forwarded(data: bytes) -> None:
    """Whatever a proxy's headers say, a request has an address that is one, http or https, and a host that is one."""
    text = data.decode("latin-1")
    lines = [line.strip() for line in text.replace("\r", "\n").replace("\0", "").split("\n") if line.strip()]
    for family in _FAMILIES:
        believing = Forwarding(["127.0.0.0/8", "10.0.0.0/8"], family)
        headers: CIMultiDict[str] = CIMultiDict({"Host": "x"})
        for at, line in enumerate(lines[: 2 * MOST_HOPS]):
            names = ("Forwarded",) if family == "forwarded" else ("X-Forwarded-For", "X-Forwarded-Proto", "Host")
            headers.add(names[at % len(names)], line)
        asked: Any = SimpleNamespace(headers=headers)
        hop = believing._first_hop(ip_address("127.0.0.1"), asked)
        assert hop.scheme in (None, "http", "https")
        assert hop.client is None or address_of(str(hop.client)) == hop.client
        assert not set(hop.host or "") & set("\r\n <>\"'/?#@")


_RANGES = (b"bytes=", b"-", b",", b"0", b"9" * 18, b"9" * 19, b"bytes=0-0", b"\xb2", b" ", b"items=", b"500-999")
_QUERY = (
    *(b"rate=", b"&", b"channels=", b"bitrate=", b"loudness=-14", b"limit=", b"after=", b"from=", b"to=", b"%00"),
    *(
        b"2026-03-31",
        b"2026-03-31T12:00:00Z",
        b"+08:00",
        b"T24:00",
        b"9999999999",
        b"0000-01-01",
        b"%",
        b"1e9",
        b"\xb2",
    ),
    *(b"status=queued", b"model=", b"created_after=", b"text/csv;q=0.5", b"*/*", b"q=", b"99999999999.9"),
)
_SHAKEN = octets(_GOOD)
_FORWARDED = (
    *(b"for=", b"proto=https", b"host=", b'"[::1]:4711"', b";", b",", b'"\\"', b"unknown", b"_hidden", b"10.0.0.1"),
    *(b"\n", b"1.2.3.4:80", b"[::1]", b"::ffff:10.0.0.1", b"fe80::1%eth0", b"evil.example/<x>", b"for=" * 200),
)
_V2 = b"\r\n\r\n\0\r\nQUIT\n"

TARGETS = (
    Target("range", span.__doc__ or "", span, (b"bytes=0-1", b"bytes=-5", b"bytes=7-", b"bytes=0-0,3-4"), _RANGES),
    Target(
        "query",
        query.__doc__ or "",
        query,
        (b"rate=24000&channels=1", b"from=2026-01-01&to=2026-02-01T00:00:00Z&limit=5", b"after=MS4wMDAwMDAgc3Rf"),
        _QUERY,
    ),
    Target(
        "ticket",
        ticket.__doc__ or "",
        ticket,
        (_GOOD.encode(), _SHAKEN, _SHAKEN[:-1], b"wt_"),
        (b"wt_", b"=", b"AAAA", _SHAKEN[:5], _SHAKEN[5:-32], _SHAKEN[-32:]),
    ),
    Target(
        "credential",
        credential.__doc__ or "",
        credential,
        (b"Bearer wg_acme", b"d2dfYWNtZQ", b"bearer wt_x"),
        (b"Bearer ", b"wt_", b"=", b"\xff", b"\t"),
    ),
    Target(
        "proxy",
        proxy.__doc__ or "",
        proxy,
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\nGET /",
            b"PROXY UNKNOWN\r\n",
            _V2 + b"\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\3\xe8\1\xbb",
            _V2 + b"\x21\x21\0\x2c" + b"\1" * 36 + b"\x20\0\5\1\0\0\0\0",
        ),
        (_V2, b"\x21\x11", b"\x20\0", b"PROXY TCP6 ::1 ::2 ", b"\r\n", b"\0\x0c", b"\x0f\xf0", b" 65536", b"\xb2"),
    ),
    Target(
        "forwarded",
        forwarded.__doc__ or "",
        forwarded,
        (
            b'for=192.0.2.60;proto=https;host=x.example, for="[2001:db8::1]:80"',
            b"1.2.3.4, 10.0.0.9\nhttps\nx.example:8443",
        ),
        _FORWARDED,
    ),
)

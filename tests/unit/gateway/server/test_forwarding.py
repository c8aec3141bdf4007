"""Who is behind a request: proxies that are trusted, headers that anybody can forge, and what handlers see of both.

Invariant under test: without a trusted proxy no header changes anything, and with one a client's own words never count.
It must not know what handlers do with an address.
"""

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.server.callers import Caller, Callers
from gateway.server.forwarding import Family, Forwarding, address_of, host_of
from gateway.server.proxyheader import Source
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import exchange

PROXIES = ["10.0.0.0/8", "::1", "192.0.2.1"]


def request(
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), *, peer: str | None = "10.0.0.1", path: str = "/x?y=1"
) -> web.Request:
    """A request on a connection of `peer`."""
    made = make_mocked_request("GET", path, CIMultiDict([("Host", "gateway.test:8080"), *dict(headers).items()]))
    return made.clone(remote=peer) if peer is not None else made


def seen(
    headers: Mapping[str, str], family: Family = "x-forwarded", **options: Any
) -> tuple[str | None, str, str | None]:
    """Who the client is, the gateway's address as it knows it, and the gateway's name as it knows it."""
    found = Forwarding(PROXIES, family).seen(request(headers, **options))
    return found.remote, str(found.url.origin()), host_of(found)


OURS = ("http://gateway.test:8080", "gateway.test:8080")


@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8::9", "192.0.2.2", "nonsense", ""])
@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
def test_strangers_say_what_they_like(peer: str, family: Family) -> None:
    """Of whoever is no proxy of ours no word is believed, in either family."""
    forged = {
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
        "Forwarded": "for=198.51.100.1;proto=https;host=evil.test",
    }
    assert seen(forged, family, peer=peer) == (peer, *OURS)


def test_nothing_is_believed_where_nobody_is_trusted() -> None:
    """The default, and the same request goes on."""
    asked = request({"X-Forwarded-For": "198.51.100.1"}, peer="127.0.0.1")
    assert Forwarding().seen(asked) is asked


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("198.51.100.1,203.0.113.7 ,10.1.2.3,192.0.2.1", "203.0.113.7"),
        ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
        ("203.0.113.7:55555", "203.0.113.7"),
        ("[2001:db8::7]:55555", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("203.0.113.7, 10.1.2.3, <script>, 10.5.5.5", "10.5.5.5"),
        ("", "10.0.0.1"),
        (", , ", "10.0.0.1"),
        ("203.0.113.7," + "10.0.0.2," * 40, "10.0.0.2"),
    ],
)
def test_the_right_most_that_is_no_proxy_of_ours_is_the_client(said: str, client: str) -> None:
    """What stands further left is its own word. What is no address ends the chain at who said it."""
    assert seen({"X-Forwarded-For": said})[0] == client


def test_two_headers_of_a_name_are_one_list() -> None:
    """As proxies that add one of their own leave it."""
    made = make_mocked_request(
        "GET", "/", CIMultiDict([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.7")])
    ).clone(remote="10.0.0.1")
    assert Forwarding(PROXIES).seen(made).remote == "203.0.113.7"


def test_the_proxy_tells_what_the_client_calls_us() -> None:
    """Scheme and name, with and without an address; the rest of the request stays as it is."""
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "music.example"}
    assert seen(told) == ("10.0.0.1", "https://music.example", "music.example")
    assert seen({**told, "X-Forwarded-For": "203.0.113.7"})[:2] == ("203.0.113.7", "https://music.example")
    assert seen({**told, "X-Forwarded-Proto": "WSS"})[1] == "https://music.example"
    assert seen({"X-Forwarded-Host": "music.example:8443"})[1] == "http://music.example:8443"
    found = Forwarding(PROXIES).seen(request(told))
    assert (found.path_qs, found.headers["Host"], found.query["y"]) == ("/x?y=1", "gateway.test:8080", "1")


def test_of_a_chain_the_outermost_of_ours_tells() -> None:
    """Where the lists are as long as that of the addresses; else the nearest one."""
    chain = {
        "X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.1.2.3",
        "X-Forwarded-Proto": "ws, https, http",
        "X-Forwarded-Host": "forged.test, music.example, inner.test",
    }
    assert seen(chain) == ("203.0.113.7", "https://music.example", "music.example")
    assert seen({**chain, "X-Forwarded-Host": "forged.test, music.example"})[1] == "https://music.example"


@pytest.mark.parametrize("host", ["evil test", "a/b", "a@b", "", "x" * 300, "a:b", "a:123456", "[::1", "böse.test"])
def test_a_name_that_is_none_is_not_taken(host: str) -> None:
    """It would stand in the addresses that clients are given."""
    assert seen({"X-Forwarded-Host": host, "X-Forwarded-Proto": "gopher"})[1:] == OURS


def test_a_name_in_the_request_line_wins() -> None:
    """As it wins over Host."""
    found = Forwarding(PROXIES).seen(request({"X-Forwarded-Host": "other.test"}, path="http://named.test/x"))
    assert str(found.url.origin()) == "http://named.test"
    assert host_of(found) == "gateway.test:8080"


FORWARDED = 'for="[2001:db8::7]:4711";proto=https;host="music.example:8443";by=10.0.0.1'


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (FORWARDED, ("2001:db8::7", "https://music.example:8443", "music.example:8443")),
        (
            f"for=198.51.100.1;host=forged.test, {FORWARDED}",
            ("2001:db8::7", "https://music.example:8443", "music.example:8443"),
        ),
        (f"{FORWARDED},for=10.1.2.3;proto=http", ("2001:db8::7", "https://music.example:8443", "music.example:8443")),
        ("FOR=203.0.113.7", ("203.0.113.7", *OURS)),
        (r'for="203\.0.113.7"', ("203.0.113.7", *OURS)),
        ("for=_hidden;proto=https", ("10.0.0.1", "https://gateway.test:8080", "gateway.test:8080")),
        ("proto=https", ("10.0.0.1", "https://gateway.test:8080", "gateway.test:8080")),
        ('for="203.0.113.7', ("10.0.0.1", *OURS)),
        ("for 203.0.113.7", ("10.0.0.1", *OURS)),
        ("", ("10.0.0.1", *OURS)),
    ],
)
def test_the_standard_header(said: str, found: tuple[str, str, str]) -> None:
    """As RFC 7239 has it; one that cannot be read is as good as none."""
    assert seen({"Forwarded": said}, "forwarded") == found


def test_only_one_family_is_believed() -> None:
    """A proxy that sets the one lets a client's other pass."""
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=198.51.100.1;host=evil.test"}
    assert seen(forged) == ("203.0.113.7", *OURS)
    forged = {"Forwarded": "for=203.0.113.7", "X-Forwarded-For": "198.51.100.1", "X-Forwarded-Host": "evil.test"}
    assert seen(forged, "forwarded") == ("203.0.113.7", *OURS)


def test_proxies_change_while_it_runs() -> None:
    """From the next request on."""
    forwarding = Forwarding()
    asked = request({"X-Forwarded-For": "203.0.113.7"})
    forwarding.replace(["10.0.0.1"], "x-forwarded")
    assert forwarding.seen(asked).remote == "203.0.113.7"
    forwarding.replace([], "x-forwarded")
    assert forwarding.seen(asked).remote == "10.0.0.1"


@pytest.mark.parametrize(
    ("text", "found"),
    [("::ffff:10.0.0.1", "10.0.0.1"), (" 10.0.0.1 ", "10.0.0.1"), ("10.0.0.1:1:1", None), (None, None)],
)
def test_addresses(text: str | None, found: str | None) -> None:
    """As sockets and headers write them."""
    assert address_of(text) == (ip_address(found) if found is not None else None)


def test_connections_of_proxies() -> None:
    """By the address at the other end, of either family; a socket without one is nobody's."""

    class Transport(asyncio.Transport):
        def __init__(self, peer: object) -> None:
            super().__init__({"peername": peer})

    believed = Forwarding(PROXIES).believed
    assert believed(Transport(("10.1.1.1", 1)))
    assert believed(Transport(("::ffff:10.1.1.1", 1, 0, 0)))
    assert not believed(Transport(("203.0.113.7", 1)))
    assert not believed(Transport(""))
    assert not believed(Transport(None))


async def test_handlers_see_the_client_and_a_proxy_header_may_tell_of_tls() -> None:
    """The middleware on a real server; who came to the proxy by TLS is told addresses that say so."""
    said: list[tuple[str | None, str]] = []

    async def answer(asked: web.Request) -> web.Response:
        said.append((asked.remote, str(asked.url.origin())))
        return web.Response(text=await asked.text())

    application = web.Application(middlewares=[Forwarding(["127.0.0.1"]).middleware])
    application.add_routes([web.post("/", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    callers = Callers(10.0, Recorder(), Clock())
    sources = [None, Source("203.0.113.7", 1), Source("203.0.113.7", 1, secure=True)]
    server = runner.server
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Caller(server, callers, sources.pop(0)), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 198.51.100.9\r\n"
    head += b"Content-Length: 2\r\n\r\nhi"
    for _ in range(3):
        assert (await exchange(port, head))[1] == b"hi"
    listening.close()
    await runner.cleanup()
    assert said == [("198.51.100.9", "http://a"), ("203.0.113.7", "http://a"), ("203.0.113.7", "https://a")]

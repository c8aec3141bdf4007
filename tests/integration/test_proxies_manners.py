"""What a proxy does for gateways that are not well, and what it tells them of clients, with the files of deploy/proxy.

The gateways are played here, so that what reaches them is known to the octet. Invariant under test: an order that was
sent once is never sent again; what a client says of itself is not believed. It must not know what a gateway answers.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway import PATIENCE
from tests.support.proxies import Behind, Front, front, stub
from tests.support.union import soon

Need = Callable[[str], str]
PROXIES = ("nginx", "haproxy")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
DRAINS = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Played:
    """A gateway's ports: remembers the heads that came and answers them as it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []

    def __call__(self, head: bytes) -> bytes:
        self.heads.append(head.decode())
        return self.answer


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def asked(proxy: Front, method: str, path: str = "/v1/streams", **headers: str) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.request(method, proxy.secure + path, headers=headers, data=b"{}", ssl=proxy.trust) as response,
    ):
        return response.status, await response.read()


@pytest.mark.parametrize("name", PROXIES)
async def test_an_order_is_sent_once(name: str, need: Need, tmp_path: Path) -> None:
    """Gateways that take an order and die are asked once each time; what may be asked again is asked elsewhere."""
    first, second = Played(b""), Played(b"")
    well = Played(OK)
    async with stub(first) as one, stub(second) as two, stub(well) as internal:
        gateways = [Behind(one.public, internal.public), Behind(two.public, internal.public)]
        async with front(name, need, tmp_path, gateways) as proxy:
            status, body = await asked(proxy, "POST")
            assert len(first.heads) + len(second.heads) == 1
            assert status in (502, 503)
            assert json.loads(body)["error"]["code"] == "going_away"


@pytest.mark.parametrize("name", PROXIES)
async def test_who_does_not_listen_is_left_for_the_next(name: str, need: Need, tmp_path: Path) -> None:
    """A gateway that drains has closed its port: every request goes to the other one, orders too."""
    there, well = Played(OK), Played(OK)
    async with stub(there) as two, stub(well) as internal:
        gateways = [Behind(nowhere(), internal.public), Behind(two.public, internal.public)]
        async with front(name, need, tmp_path, gateways) as proxy:
            for method in ("POST", "GET", "POST", "GET"):
                assert await asked(proxy, method) == (200, b"{}")
    assert [head.split()[0] for head in there.heads] == ["POST", "GET", "POST", "GET"]


@pytest.mark.parametrize("name", PROXIES)
async def test_what_clients_say_of_themselves_is_replaced(name: str, need: Need, tmp_path: Path) -> None:
    """Address, scheme and host are what the proxy sees; the host is the one that the client asked for."""
    there, well = Played(OK), Played(OK)
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=6.6.6.6;host=evil.example",
    }
    async with stub(there) as one, stub(well) as internal:
        gateways = [Behind(one.public, internal.public)] * 2
        async with front(name, need, tmp_path, gateways) as proxy:
            assert (await asked(proxy, "GET", Host="music.example.com", **lies))[0] == 200
    (head,) = there.heads
    said = {}
    for line in head.split("\r\n")[1:-2]:
        title, _, value = line.partition(": ")
        assert title.lower() not in said, f"{title} comes twice"
        said[title.lower()] = value
    assert said["host"] == said["x-forwarded-host"] == "music.example.com"
    assert (said["x-forwarded-for"], said["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert "forwarded" not in said
    assert "6.6.6.6" not in head


@pytest.mark.parametrize("name", PROXIES)
async def test_nobody_there_is_told_in_words_that_clients_know(name: str, need: Need, tmp_path: Path) -> None:
    """The error body of the gateway, with a time to come back."""
    async with front(name, need, tmp_path, [Behind(nowhere()), Behind(nowhere())]) as proxy:
        assert " config : " not in proxy.log, "HAProxy has nothing to say against its file"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
            http.get(proxy.secure + "/v1/streams", ssl=proxy.trust) as response,
        ):
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
            assert response.content_type == "application/json"
            error = (await response.json())["error"]
    assert error.keys() == {"code", "message", "retryable", "retry_after_ms", "param"}
    assert (error["code"], error["retryable"]) == ("going_away", True)


async def test_haproxy_leaves_who_is_not_ready(need: Need, tmp_path: Path) -> None:
    """It asks /readyz at the internal port: who drains there gets nothing new, although its public port is open."""
    leaves, stays, draining, well = Played(OK), Played(OK), Played(DRAINS), Played(OK)
    async with stub(leaves) as one, stub(stays) as two, stub(draining) as first, stub(well) as second:
        gateways = [Behind(one.public, first.public), Behind(two.public, second.public)]
        async with front("haproxy", need, tmp_path, gateways) as proxy:
            await soon(lambda: "gateway-1 is DOWN" in proxy.log)
            already = len(leaves.heads)
            for path in ("/v1/streams", "/v1/streams/st_1/audio.mp3") * 3:
                assert (await asked(proxy, "GET", path))[0] == 200
    assert draining.heads
    assert all(head.startswith("GET /readyz HTTP/1.1\r\n") for head in [*draining.heads, *well.heads])
    assert (already, len(leaves.heads), len(stays.heads)) == (0, 0, 6)


async def test_plain_http_is_sent_to_tls(need: Need, tmp_path: Path) -> None:
    """With the same method, path and query: nothing of it reaches a gateway."""
    there = Played(OK)
    async with stub(there) as one:
        gateways = [Behind(one.public, one.public)] * 2
        for name in PROXIES:
            place = tmp_path / name
            place.mkdir()
            async with front(name, need, place, gateways) as proxy:
                line = aiohttp.UnixConnector(str(place / "80")) if name == "nginx" else None
                url = ("http://x" if name == "nginx" else proxy.plain) + "/v1/streams?a=1"
                async with (
                    aiohttp.ClientSession(connector=line, timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
                    http.post(url, headers={"Host": "music.example.com"}, allow_redirects=False) as response,
                ):
                    assert response.status == 308
                    assert response.headers["Location"] == "https://music.example.com/v1/streams?a=1"
    assert not [head for head in there.heads if not head.startswith("GET /readyz")]


LIMITS = {
    "nginx": [
        *[
            (f"#   {words}", words)
            for words in ("map $request_method", "limit_req_zone", "limit_conn_zone", "limit_req_status")
        ],
        *[(f"#   {words}", words) for words in ("limit_conn_status", "limit_conn wavegate_listeners")],
        ("#   limit_req zone=wavegate_orders burst=10 ", "limit_req zone=wavegate_orders burst=2 "),
    ],
    "haproxy": [
        *[(f"#   {words}", words) for words in ("stick-table", "http-request track-sc0", "http-error status 429")],
        *[
            (
                f"#   http-request deny deny_status 429 if {{ sc_{words}",
                f"http-request deny deny_status 429 if {{ sc_{words}",
            )
            for words in ("http_req_rate", "conn_cur")
        ],
        ("sc_http_req_rate(0) gt 600", "sc_http_req_rate(0) gt 3"),
    ],
}


@pytest.mark.parametrize("name", PROXIES)
async def test_limits_that_are_uncommented_hold(name: str, need: Need, tmp_path: Path) -> None:
    """The fourth order of an address in a moment is refused in words that clients know, and reaches no gateway."""
    there, well = Played(OK), Played(OK)
    async with stub(there) as one, stub(well) as internal:
        gateways = [Behind(one.public, internal.public)] * 2
        async with front(name, need, tmp_path, gateways, LIMITS[name]) as proxy:
            answers = [await asked(proxy, "POST") for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    assert json.loads(answers[-1][1])["error"]["code"] == "rate_exceeded"
    assert len(there.heads) == 3

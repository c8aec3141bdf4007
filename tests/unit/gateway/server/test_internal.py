"""The internal port: the page Prometheus reads, and the two questions an orchestrator asks.

Invariant under test: the process answers even while no new work should come.
It must not know what makes a gateway unready.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.errors import AccessError
from gateway.server.internal import Internal, by_its_name
from metrics.recorder import Recorder
from tests.support.server import served

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@asynccontextmanager
async def internal(reasons: list[str]) -> AsyncIterator[aiohttp.ClientSession]:
    recorder = Recorder(version="9.9.9")
    recorder.gap("lag")
    async with (
        served(*Internal(recorder, lambda: reasons).routes()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
    ):
        yield http


@pytest.mark.parametrize(
    ("accept", "content_type", "ends"),
    [
        (None, "text/plain", False),
        ("text/plain", "text/plain", False),
        ("*/*", "text/plain", False),
        (f"{OPENMETRICS},text/plain;q=0.5", "application/openmetrics-text", True),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(accept: str | None, content_type: str, ends: bool) -> None:
    """OpenMetrics, which ends with its EOF, for the scraper that asks for it; the text format for everybody else."""
    async with internal([]) as http:
        headers = {"Accept": accept} if accept else {}
        async with http.get("/metrics", headers=headers) as response:
            page = await response.text()
            assert response.status == 200
            assert response.content_type == content_type
    assert page.endswith("# EOF\n") is ends
    assert 'wavegate_gaps_total{reason="lag"} 1.0' in page
    assert 'version="9.9.9"' in page


async def test_a_ready_gateway_says_so() -> None:
    """Both questions are answered with 200, and with no reasons."""
    async with internal([]) as http:
        async with http.get("/healthz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})
        async with http.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ready", "reasons": []})


async def test_an_unready_gateway_is_alive_and_says_why() -> None:
    """503 with the reasons for whoever sends work, 200 for whoever would restart it; reasons are asked anew."""
    reasons = ["draining"]
    async with internal(reasons) as http:
        async with http.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "unready", "reasons": ["draining"]})
        async with http.get("/healthz") as response:
            assert response.status == 200
        reasons.clear()
        async with http.get("/readyz") as response:
            assert response.status == 200


async def test_what_nobody_has_told_is_looked_at_first() -> None:
    """Each time that somebody asks for the metrics, and for nothing else."""
    recorder = Recorder()
    looks: list[str] = []

    def look() -> None:
        looks.append("looked")
        recorder.cluster_nodes(len(looks))

    async with (
        served(*Internal(recorder, list, look).routes()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
    ):
        for number in (1, 2):
            async with http.get("/metrics") as response:
                assert f"wavegate_cluster_nodes {float(number)}\n" in await response.text()
            async with http.get("/readyz") as response:
                assert response.status == 200
    assert len(looks) == 2


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9464", 200),
        ("localhost", 200),
        ("localhost:1", 200),
        ("[::1]:9464", 200),
        ("10.0.0.7:9464", 200),
        ("wavegate", 200),
        ("evil.example:9464", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:9464", 403),
        ("[::1", 403),
    ],
)
async def test_by_loopback_it_has_the_names_of_loopback(host: str, status: int) -> None:
    """A page whose name was made to lead here sends that name; an address is nobody's page that is not here."""
    request = make_mocked_request("GET", "/metrics", headers={"Host": host}, transport=arrived("127.0.0.1"))
    assert await fate(request) == status
    dual = make_mocked_request("GET", "/metrics", headers={"Host": host}, transport=arrived("::ffff:127.0.0.1"))
    assert await fate(dual) == status


async def test_elsewhere_it_has_whatever_name_it_has() -> None:
    """In a pod, among containers; and where nothing tells where it is, or what it is called."""
    named = {"Host": "gateway-1.music.example:9464"}
    for transport in (arrived("10.0.0.7"), arrived("fd00::7"), arrived("/run/socket"), arrived(None)):
        assert await fate(make_mocked_request("GET", "/metrics", headers=named, transport=transport)) == 200
    for path in ("/healthz", "/readyz"):
        assert await fate(make_mocked_request("GET", path, headers=named, transport=arrived("127.0.0.1"))) == 200
    assert await fate(make_mocked_request("GET", "/metrics", transport=arrived("127.0.0.1"))) == 200


def arrived(address: str | None) -> Mock:
    """The socket on which a request came, which has this address here."""
    socket = Mock()
    socket.get_extra_info.side_effect = {"sockname": None if address is None else (address, 9464)}.get
    return socket


async def fate(request: web.Request) -> int:
    """The status that a request is answered with."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response()

    try:
        return (await by_its_name(request, handler)).status
    except AccessError as error:
        return error.handling.status

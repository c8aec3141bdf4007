"""Answers to players: headers, ranges, tags, and when a body counts as sent.

Invariant under test: nobody keeps a playlist, no proxy keeps a file; only what went out is counted.
It must not know the door.
"""

import aiohttp
import pytest
from aiohttp import web

from gateway.server.hls import answers
from tests.support.server import served, soon

BODY = bytes(range(100))
TAG = '"tag"'


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip, deflate, br", True),
        ("gzip", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("identity", False),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("x-gzipped", False),
    ],
)
def test_who_takes_gzip(accepted: str, takes: bool) -> None:
    """Those who say so, and do not say that they would rather not."""
    assert answers.takes_gzip({"Accept-Encoding": accepted}) is takes
    assert not answers.takes_gzip({})


def test_a_playlist_is_for_nobody_to_keep() -> None:
    """Plain or as gzip."""
    for zipped in (True, False):
        response = answers.playlist(b"text", zipped=zipped)
        assert response.headers["Content-Type"] == "application/vnd.apple.mpegurl"
        assert response.headers["Cache-Control"] == "no-store"
        assert ("Content-Encoding" in response.headers) is zipped
    beginning = answers.beginning_of_playlist(b"#E")
    assert (beginning.status, beginning.headers["Content-Range"]) == (206, "bytes 0-1/*")


async def test_only_what_went_out_is_counted() -> None:
    """The whole, or a part; no head, nothing for who has it already, nothing for a range that is none."""
    sent: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        return answers.file(request, BODY, TAG, sent.append)

    async with (
        served(web.get("/file", handle)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
    ):

        async def ask(method: str = "GET", **headers: str) -> tuple[int, bytes, str | None]:
            async with http.request(method, "/file", headers=headers) as response:
                return response.status, await response.read(), response.headers.get("Content-Range")

        assert await ask() == (200, BODY, None)
        await soon(lambda: sent == [100])
        assert await ask(Range="bytes=90-") == (206, BODY[90:], "bytes 90-99/100")
        assert await ask(Range="bytes=-5") == (206, BODY[95:], "bytes 95-99/100")
        await soon(lambda: sent == [100, 10, 5])
        assert (await ask(Range="bytes=100-"))[::2] == (416, "bytes */100")
        assert (await ask("HEAD"))[:2] == (200, b"")
        assert (await ask(**{"If-None-Match": f'"other", {TAG}'}))[:2] == (304, b"")
        assert (await ask(**{"If-None-Match": "*"}))[:2] == (304, b"")
        assert (await ask(**{"If-None-Match": '"other"', "Range": "bytes=0-0", "If-Range": '"old"'}))[:2] == (200, BODY)
        await soon(lambda: sent[:3] == [100, 10, 5] and sent[-1] == 100)


async def test_a_player_that_is_gone_is_not_counted() -> None:
    """The body did not go out."""
    sent: list[int] = []
    failed: list[BaseException] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        response = answers.file(request, BODY, TAG, sent.append)
        await response.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        await soon(lambda: request.transport is None)
        try:
            await response.write_eof()
        except ConnectionError as error:
            failed.append(error)
            raise
        return response

    async with (
        served(web.get("/file", handle)) as port,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http,
    ):
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port}/file")
        await soon(lambda: bool(failed))
    assert sent == []


async def test_a_body_is_counted_once() -> None:
    """However often its end is told."""
    sent: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        response = answers.file(request, BODY, TAG, sent.append)
        await response.prepare(request)
        await response.write_eof()
        await response.write_eof()
        return response

    async with (
        served(web.get("/file", handle)) as port,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http,
        http.get(f"http://127.0.0.1:{port}/file") as response,
    ):
        assert await response.read() == BODY
    assert sent == [100]

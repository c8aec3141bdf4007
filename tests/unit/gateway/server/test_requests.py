"""Requests in the log: their ids, whence they come, and the line of one that is refused.

Invariant: the requests are real ones to a small application with the middleware.
They must not know the gateway's doors.
"""

import logging
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request

from gateway.errors import RequestError, ServiceError
from gateway.log import bind, bound
from gateway.server.requests import HEADER, id_of, lines, named, origin_of, with_id
from gateway.server.rest import errors

ODD = ["", "a b", "x" * 65, "a\tb", "ключ", "a/b", '"']


async def handler(request: web.Request) -> web.Response:
    bind(tenant="acme")
    code = request.match_info["code"]
    if code == "well":
        return web.json_response({"origin": list(bound().origin), **bound().ids})
    if code == "internal":
        raise ServiceError("internal", "Ours.")
    if code == "broken":
        raise ValueError("a fault")
    raise RequestError(code, "Theirs.")


async def asked(path: str, **headers: str) -> tuple[int, str, Any]:
    application = web.Application(middlewares=[lines, errors])
    application.on_response_prepare.append(named)
    application.router.add_get("/songs/{code}", handler)
    async with (
        TestServer(application) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url(path), headers=headers) as answer,
    ):
        return answer.status, answer.headers[HEADER], await answer.json()


async def test_a_sane_id_is_taken_and_any_other_made() -> None:
    """It is bound to all that the request does, and answered."""
    status, request_id, body = await asked("/songs/well?ticket=secret", **{HEADER: "a.Sane_id-1"})
    assert (status, request_id, body["request_id"]) == (200, "a.Sane_id-1", "a.Sane_id-1")
    status, request_id, body = await asked("/songs/well")
    assert request_id.startswith("rq_")
    assert request_id == body["request_id"]
    for odd in ODD:
        assert id_of(make_mocked_request("GET", "/", {HEADER: odd}), lambda size: "0" * size) == "rq_" + "0" * 8


async def test_whence_it_comes() -> None:
    """Address, a short agent, the trace it is part of."""
    *_, body = await asked("/songs/well", **{"User-Agent": "u" * 100, "traceparent": "00-1-2-3"})
    client, agent, traceparent, at = body["origin"]
    assert (client, agent, traceparent) == ("127.0.0.1", "u" * 60, "00-1-2-3")
    assert at > 1e9
    assert origin_of(make_mocked_request("GET", "/")).agent is None


@pytest.mark.parametrize(
    ("path", "level", "fields"),
    [
        ("/songs/stream_not_found?q=secret", "INFO", ("/songs/{code}", 404, "stream_not_found", "acme")),
        ("/songs/internal", "WARNING", ("/songs/{code}", 500, "internal", "acme")),
        ("/secret", "INFO", ("unknown", 404, "not_found", None)),
    ],
)
async def test_a_refusal_is_a_line(path: str, level: str, fields: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With the route in place of the path, and nothing that a client wrote."""
    caplog.set_level(logging.INFO, "wavegate")
    await asked(path)
    (record,) = [one for one in caplog.records if one.getMessage() == "request.refused"]
    told = record.__dict__["fields"]
    assert (told["route"], told["status"], told["code"], told["tenant"]) == fields
    assert (record.levelname, told["method"], told["client"]) == (level, "GET", "127.0.0.1")
    assert "secret" not in str(told)


async def test_a_fault_of_ours_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """And the refusal's line beside it."""
    await asked("/songs/broken")
    (failed,) = [one for one in caplog.records if one.getMessage() == "request.failed"]
    assert failed.exc_info is not None
    assert failed.__dict__["fields"] == {"method": "GET", "route": "/songs/{code}"}


async def test_a_head_of_ones_own() -> None:
    """Has what was granted, and the id."""
    request = make_mocked_request("GET", "/")
    granted = with_id(lambda _: {"Vary": "Origin"})
    assert granted(request) == {"Vary": "Origin", HEADER: ""}
    response = web.Response()
    await named(request, response)
    assert HEADER not in response.headers

"""Minting a ticket from outside: what is asked for, and every way in which there is none.

Invariant under test: a key is in no error, and whatever a server answers, or that it does not, is a ClientError. It
must not know what a ticket's bytes mean.
"""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from gateway.client.errors import ClientError
from gateway.client.ticket import mint
from tests.support.server import served


async def asked(answer: web.Response, seen: list[Any] | None = None, **options: Any) -> tuple[str, int]:
    async def handle(request: web.Request) -> web.Response:
        if seen is not None:
            seen.extend([request.headers["Authorization"], await request.json()])
        return answer

    async with served(web.post("/below/v1/tickets", handle)) as port:
        return await asyncio.to_thread(
            mint, f"http://127.0.0.1:{port}/below", options.get("key", "k"), options.get("stream"), 30, 0
        )


def document(**fields: Any) -> web.Response:
    return web.Response(text=json.dumps(fields))


@pytest.mark.parametrize("stream", [None, "st_1"])
async def test_what_is_asked_for(stream: str | None) -> None:
    """With the key in the header and the path of the server in front."""
    seen: list[Any] = []
    assert await asked(document(ticket="wt_x", expires_at=7), seen, stream=stream) == ("wt_x", 7)
    bearer, wanted = seen
    assert bearer == "Bearer k"
    assert (wanted["ttl_seconds"], wanted["stream_id"], wanted["uses"], wanted["allow"]) == (30, stream, 0, ["listen"])


async def test_a_refusal_is_the_gateways_own() -> None:
    """Its code and its sentence."""
    body = {"code": "bad_credentials", "message": "This key is not known here.", "retryable": False}
    with pytest.raises(ClientError, match="not known here") as refused:
        await asked(web.Response(status=401, text=json.dumps({"error": body})))
    assert refused.value.code == "bad_credentials"


@pytest.mark.parametrize("text", ["<html>", "{}", "[]", '{"ticket": 5}'])
async def test_what_is_no_gateway_is_called_so(text: str) -> None:
    """Pages, other documents, and one without a ticket."""
    with pytest.raises(ClientError) as refused:
        await asked(web.Response(text=text))
    assert refused.value.code == "bad_protocol"


@pytest.mark.parametrize(
    ("server", "key", "code"),
    [
        ("ftp://x", "k", "invalid_server"),
        ("http://127.0.0.1:1", "two words", "invalid_key"),
        ("http://127.0.0.1:1", "", "invalid_key"),
        ("http://127.0.0.1:1", "secret", "unreachable"),
        ("https://127.0.0.1:1", "secret", "unreachable"),
    ],
)
def test_what_cannot_be_asked(server: str, key: str, code: str) -> None:
    """Nobody there, or nothing that can be sent."""
    with pytest.raises(ClientError) as refused:
        mint(server, key, None, 60, 1)
    assert refused.value.code == code
    assert "secret" not in refused.value.message

"""Somebody who spends: orders over REST, what stands in the ledger of them, and waiting for a song's first sound.

Invariant: every wait is bounded, and none is longer than what is waited for.
It must not test anything itself.
"""

import asyncio
from typing import Any

import aiohttp

from gateway.relay.stream import Stream
from tests.support.gateway import Bench


async def order(gateway: Bench, http: aiohttp.ClientSession | None = None, query: str = "", **body: Any) -> Any:
    """Status and document of an order over REST."""
    async with (http or gateway.http).post(f"{gateway.url}/v1/streams{query}", json=body) as response:
        return response.status, await response.json()


async def ordered(gateway: Bench, **body: Any) -> Stream:
    status, document = await order(gateway, **body)
    assert status == 201, document
    stream = next(stream for stream in gateway.gateway.hub.streams if stream.id == document["id"])
    assert isinstance(stream, Stream)
    return stream


async def rows(gateway: Bench) -> list[dict[str, Any]]:
    async with gateway.http.get(f"{gateway.url}/v1/usage") as response:
        found: list[dict[str, Any]] = (await response.json())["generations"]
        return found


async def row(gateway: Bench) -> dict[str, Any]:
    (one,) = await rows(gateway)
    return one


async def sounding(stream: Stream) -> None:
    """Until the first of its sound has come, and not a turn of the loop longer."""
    async with asyncio.timeout(20):
        while not stream.received_seconds:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)

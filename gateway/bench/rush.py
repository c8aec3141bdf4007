"""Two hundred orders at the same moment against room for ten, again and again, from several addresses.

Invariant: whoever has started is cancelled before the next rush, so that each finds the same room; what is started is
counted by the answers and by the provider. It must not know how room is counted.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.bench.report import Row
from gateway.bench.stage import Server

ROOM, STARTS, ADDRESSES = 10, 200, 4
_TIMEOUT = aiohttp.ClientTimeout(60)
_LONG = "[[scale seconds=600 speed=1 wait=0]] a scale that nobody hears to its end"


@dataclass(slots=True)
class Rushes:
    """How many started in each rush, and how everybody else was refused."""

    started: list[int] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)


async def rush(gateway: Server, times: int, starts: int = STARTS) -> Rushes:
    """So many rushes, each of `starts` orders over `ADDRESSES` addresses of the loopback network."""
    found = Rushes()
    async with AsyncExitStack() as stack:
        machines = [
            await stack.enter_async_context(
                aiohttp.ClientSession(
                    headers={"Authorization": f"Bearer {gateway.key}"},
                    timeout=_TIMEOUT,
                    connector=aiohttp.TCPConnector(limit=0, local_addr=(f"127.0.0.{number}", 0)),
                )
            )
            for number in range(2, 2 + ADDRESSES)
        ]
        for _ in range(times):
            await _once(gateway, machines, starts, found)
    return found


async def _once(gateway: Server, machines: Sequence[aiohttp.ClientSession], starts: int, found: Rushes) -> None:
    async def order(number: int) -> str | None:
        http = machines[number % len(machines)]
        async with http.post(f"{gateway.public}/v1/streams", json={"input": {"prompt": _LONG}}) as answer:
            document: dict[str, Any] = await answer.json()
        if answer.status == 201:
            return str(document["id"])
        code = document["error"]["code"]
        found.refusals[code] = found.refusals.get(code, 0) + 1
        return None

    ids = [one for one in await asyncio.gather(*[order(number) for number in range(starts)]) if one is not None]
    found.started.append(len(ids))

    async def cancel(stream_id: str) -> None:
        async with machines[0].delete(f"{gateway.public}/v1/streams/{stream_id}") as answer:
            answer.raise_for_status()

    await asyncio.gather(*[cancel(one) for one in ids])


def rush_rows(found: Rushes, slots_left: int) -> list[Row]:
    """Every rush that started another number than there was room for."""
    more, fewer = (sum(one > ROOM for one in found.started), sum(one < ROOM for one in found.started))
    refused = ", ".join(f"{number} {code}" for code, number in sorted(found.refusals.items()))
    return [
        Row("rushes", len(found.started), "", None, f"refused: {refused}", digits=0),
        Row("started more than ten", more, "", 0.0, f"{max(found.started, default=0)} at most", digits=0),
        Row("started fewer", fewer, "", 0.0, f"{min(found.started, default=0)} at least", digits=0),
        Row("leases left", slots_left, "", 0.0, "after the last", digits=0),
    ]

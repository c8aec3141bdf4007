"""The wall clock jumps under a gateway that is a program: forwards and back, by an hour, a day, over a month's end.

Invariant under test: nobody who hears notices; what was spent is spent once, on the day on which it was ordered, and
a slot is free again; durations that are told are those that passed. Only the wall clock jumps, as it does on a machine
whose time is set; the monotonic one goes on.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.faulty import HEADERS, Faulty, Start, faulty
from tests.support.gateway import PATIENCE
from tests.support.union import answered

# The processes choose their own loops.
pytestmark = [pytest.mark.asyncio(loop_factories=["asyncio"]), pytest.mark.nightly, pytest.mark.timeout(180)]

LONG = "[[scale seconds=12 speed=6]] a scale over which the clock jumps"
SHORT = "[[scale seconds=2 speed=0]] a scale of two seconds"
LEASES = {"lease_seconds": 2.0}


class Clock:
    """Of one program: `by` seconds beside the machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, by: float) -> None:
        # In one step: who reads half of it would have another time.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{by:+f}\n", encoding="utf-8")
        fresh.replace(self._file)


@asynccontextmanager
async def clocked(process: Start, need: Callable[[str], str], folder: Path) -> AsyncIterator[tuple[Faulty, Clock]]:
    """A gateway that is started, with one slot, whose wall clock can be set."""
    need("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    tenant = {"id": "acme", "keys": [], "limits": {"concurrent_streams": 1}}
    async with faulty(process, folder, quota=LEASES, log={"format": "json"}) as there:
        there.settings["tenants"][0] = tenant | {"keys": there.settings["tenants"][0]["keys"]}
        clock = Clock(folder / "clock")
        there.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        await there.start()
        yield there, clock


async def now(there: Faulty) -> float:
    """What the gateway takes for the time."""
    async with there.http.get(f"{there.public}/v1/streams", headers=HEADERS) as response:
        return parsed(response.headers["Date"])


def parsed(date: str) -> float:
    return datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()


async def sold(there: Faulty) -> str:
    """A song, as soon as there is a slot; heard, and billed."""
    status, document = await answered(lambda: there.ask(SHORT), lambda given: given[0] != 429)
    assert status == 201, document
    await there.whole(document["id"])
    await answered(lambda: info(there, document["id"]), lambda given: given["usage"]["settled"])
    return str(document["id"])


async def info(there: Faulty, stream_id: str) -> dict[str, dict[str, object]]:
    async with there.http.get(f"{there.public}/v1/streams/{stream_id}", headers=HEADERS) as response:
        found: dict[str, dict[str, object]] = await response.json()
        return found


async def used(there: Faulty, since: float, until_: float) -> dict[str, float]:
    """What was settled for each song that was ordered in this time."""
    asked = {"from": str(int(since)), "to": str(int(until_))}
    async with there.http.get(f"{there.public}/v1/usage", params=asked, headers=HEADERS) as response:
        document = await response.json()
        assert response.status == 200, document
        return {row["stream_id"]: row["settled"] for row in document["generations"]}


HOUR, DAY = 3600.0, 86400.0
JUMPS = (HOUR, -HOUR, DAY, -DAY, 40 * DAY, -40 * DAY)


async def test_the_wall_clock_jumps_in_a_song(process: Start, need: Callable[[str], str], tmp_path: Path) -> None:
    """Each song is heard without a pause and billed once; the slot is there again; nothing lasted for days."""
    async with clocked(process, need, tmp_path) as (there, clock):
        began = await now(there)
        here = {await sold(there): 2.0}
        for jump in JUMPS:
            begun = asyncio.Event()
            song = await there.order(LONG)
            hearing = asyncio.create_task(there.whole(song, begun=begun))
            await asyncio.wait_for(begun.wait(), PATIENCE)
            clock.set(jump)
            assert abs(await now(there) - began - jump) < 120
            # A wait by the wall clock would last for an hour at least; the rest is what a busy machine takes.
            assert await hearing < 20.0
            elsewhere = await sold(there)
            assert await used(there, began + jump - 60, began + jump + 600) == {elsewhere: 2.0}
            clock.set(0)
            here |= {song: 12.0, await sold(there): 2.0}
        assert await used(there, began - 60, began + 600) == here
        assert await there.ready() == []
        assert await there.program.stop() == 0
        assert "Traceback" not in there.program.said
        lines = [json.loads(line) for line in there.program.said.splitlines() if line.startswith("{")]
        ends = [line for line in lines if line["event"] in ("stream.ended", "session.ended")]
        assert len(ends) == 2 * (len(here) + len(JUMPS))
        assert all(0 <= line["wall_seconds"] < 60 for line in ends)

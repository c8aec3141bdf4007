"""Whether the books are right, whatever goes wrong: on the gateway's side, on its clients' and on the provider's.

Invariant: the ledger is held against the provider's own account, call by call, and what was once told as settled
against what is told after every death. It must not know how the ledger keeps its books.
"""

import asyncio
import random
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import aiohttp

from gateway.bench import runner
from gateway.bench.benches import BenchError, Order
from gateway.bench.deaths import LEASE_SECONDS, dead_rows, die
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.rush import ADDRESSES, ROOM, STARTS, Rushes, rush, rush_rows
from gateway.bench.stage import generous, provider, server, settings
from gateway.bench.ticks import run_loop
from gateway.bench.usage import split_processors
from gateway.bench.visits import IDLE_SECONDS, WAYS, Guest
from gateway.config.secret import key_hash
from gateway.upstream.simulator.server import Simulator

_SEED = 20261126
_QUIET_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_TIMEOUT = aiohttp.ClientTimeout(60)
_MILLISECOND = 0.001
# By so much what was received may differ from what was sent: the provider counts bytes, the gateway whole frames.
_FRAME_SECONDS = 0.1

HOW = {
    "rush": f"{STARTS} orders at the same moment, from {ADDRESSES} addresses, of a tenant that has room "
    f"for {ROOM}, with the ledger on SQLite. Those that started are cancelled, and the next {STARTS} come.",
    "faults": "Orders over REST and WebSocket, so many at once. By chance they are cancelled, left, broken off before "
    "the answer or heard to the end, and the provider breaks off, stalls, refuses, or sends what is no audio. Then "
    "every row of the ledger is held against the provider's own account of that call.",
    "killed": f"A gateway whose leases last {LEASE_SECONDS:g} s is killed at random moments while songs begin, run and "
    "end, and started again on the same file. What was settled before is compared after each death, and how long "
    "it takes until all slots are free again.",
}


class Charge(NamedTuple):
    """What the provider's own account has of a call; `told` is whether it says so to whoever calls."""

    seconds: float
    told: bool


NOTHING = Charge(0.0, told=True)


@dataclass(frozen=True, slots=True)
class Scale:
    """So many `rushes`, `orders` and `deaths` a round, and so many orders `at_once`."""

    rushes: int = 100
    orders: int = 1000
    at_once: int = 100
    deaths: int = 5


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    amount = scale or Scale(at_once=order.listeners or Scale().at_once)

    def measure(part: str, tell: Tell) -> list[Row]:
        if part == "rush":
            return run_loop(_rush(order.rounds, amount.rushes, tell))
        if part == "killed":
            return run_loop(_killed(order.rounds * amount.deaths, tell))
        return run_loop(_faults(order.rounds, amount, tell))

    return runner.run("money", order, out, err, measure, HOW)


async def _rush(rounds: int, rushes: int, tell: Tell) -> list[Row]:
    processor, others = split_processors()
    with tempfile.TemporaryDirectory(prefix="wavegate-bench-") as folder:
        async with provider(others) as url:
            key = secrets.token_urlsafe(16)
            free = {"streams_per_minute": 0, "audio_seconds_per_day": 0, "audio_seconds_per_month": 0}
            tenant = {"id": "bench", "keys": [key_hash(key)], "limits": {"concurrent_streams": ROOM, **free}}
            given = settings(url, key) | _settings(url, Path(folder)) | {"tenants": [tenant]}
            async with server(url, processor, given, key) as gateway:
                found = Rushes()
                for number in range(rounds):
                    tell(f"round {number + 1} of {rounds}: {rushes} times {STARTS} orders at once")
                    more = await rush(gateway, rushes)
                    found.started += more.started
                    for code, times in more.refusals.items():
                        found.refusals[code] = found.refusals.get(code, 0) + times
                return rush_rows(found, sum(row["finished_at"] is None for row in await gateway.usage()))


async def _faults(rounds: int, scale: Scale, tell: Tell) -> list[Row]:
    processor, _ = split_processors()
    charges: dict[str, Charge] = {}

    def account(request_id: str, seconds: float, told: bool) -> None:
        charges[request_id] = Charge(seconds, told)

    with tempfile.TemporaryDirectory(prefix="wavegate-bench-") as folder:
        async with (
            Simulator(account=account) as simulator,
            server(simulator.url, processor, _settings(simulator.url, Path(folder))) as gateway,
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {gateway.key}"},
                timeout=_TIMEOUT,
                connector=aiohttp.TCPConnector(limit=0),
            ) as http,
        ):
            guest = Guest(gateway.public, gateway.key, http, random.Random(_SEED))  # noqa: S311 - no secret
            turns = asyncio.Semaphore(scale.at_once)

            async def visit() -> None:
                async with turns:
                    await guest.visit()

            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}: {scale.orders} orders, {scale.at_once} at once")
                await asyncio.gather(*[visit() for _ in range(scale.orders)])
            tell("until the last has ended")
            ledger = await quiet(gateway.usage)
            return rows(ledger, charges, guest.tally)


async def quiet(look: Any) -> list[dict[str, Any]]:
    """The rows, as soon as none of them runs. Raises BenchError."""
    async with asyncio.timeout(_QUIET_SECONDS):
        while True:
            found: list[dict[str, Any]] = await look()
            if not any(row["status"] in ("queued", "running") for row in found):
                return found
            await asyncio.sleep(_LOOK_SECONDS)


def _settings(url: str, folder: Path) -> dict[str, Any]:
    """For a provider who is often at fault: nothing is opened or shut for it."""
    return {
        "quota": {"store": f"sqlite:///{folder / 'usage.db'}"},
        "upstream": generous(
            url,
            requests_per_minute=1_000_000,
            retry_attempts=1,
            first_event_timeout=5.0,
            idle_timeout=IDLE_SECONDS,
            circuit_failures=1_000_000,
        ),
        "log": {"level": "error"},
    }


def rows(ledger: list[dict[str, Any]], charges: Mapping[str, Charge], tally: Mapping[str, int]) -> list[Row]:
    """What the books say, against what the provider says; one that has no call cost nothing."""
    if not ledger:
        raise BenchError("nothing was bought")
    whole = [row for row in ledger if row["status"] == "completed"]
    broken = [row for row in ledger if row["status"] != "completed"]
    charged = {row["stream_id"]: charges.get(row["provider_request_id"] or "", NOTHING) for row in ledger}
    billed = sum(charged[row["stream_id"]].told for row in whole)
    counted = sum(one.seconds for one in charges.values())
    wrong = [row for row in whole if not _as_billed(row, charged[row["stream_id"]])]
    over = [row for row in broken if row["settled"] > charged[row["stream_id"]].seconds + _FRAME_SECONDS]
    flying = sum(max(0.0, charged[row["stream_id"]].seconds - row["settled"]) for row in broken)
    open_ = sum(row["finished_at"] is None for row in ledger)
    uneven = sum(row["settled"] + row["refunded"] < row["reserved"] - _MILLISECOND for row in ledger)
    did = ", ".join(f"{number} {what}" for what, number in sorted(tally.items()))
    ends = ", ".join(
        f"{sum(row['status'] == one for row in ledger)} {one}" for one in sorted({row["status"] for row in ledger})
    )
    settled = sum(row["settled"] for row in ledger)
    return [
        Row("visits", sum(tally.get(way, 0) for way in WAYS), "", None, did, digits=0),
        Row("generations", len(ledger), "", None, ends, digits=0),
        Row("leases left", open_, "", 0.0, "of those", digits=0),
        Row(
            "whole songs billed otherwise",
            len(wrong),
            "",
            0.0,
            f"of {len(whole)}: {billed} to the millisecond, the rest within a frame",
            digits=0,
        ),
        Row("charged beyond what was sent", len(over), "", 0.0, f"of {len(broken)} broken ones", digits=0),
        Row("neither settled nor given back", uneven, "", 0.0, f"of {len(ledger)} reservations", digits=0),
        Row("settled", settled, "s", None, f"the provider counts {counted:.3f} s", digits=3),
        Row("sent and not charged", flying, "s", None, "was on its way when its song was broken off", digits=3),
    ]


def _as_billed(row: Mapping[str, Any], charge: Charge) -> bool:
    """As the provider bills it; one that it told no bill for, as it was received, which is a frame more or less."""
    return bool(abs(row["settled"] - charge.seconds) < (_MILLISECOND if charge.told else _FRAME_SECONDS))


async def _killed(deaths: int, tell: Tell) -> list[Row]:
    processor, others = split_processors()
    return dead_rows(await die(deaths, processor, others, random.Random(_SEED), tell))  # noqa: S311 - no secret

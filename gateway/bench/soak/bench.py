"""Everything at once and for long: whether a gateway is in the end as it was in the beginning, and every second booked.

A crowd comes and goes, guests order and hear in every way, the provider fails in every way that the simulator knows,
codec processes die and the configuration is read again. A first short time of the same goes before what is compared.
Invariant: what is compared is looked at when the gateway is idle; every wait ends; seeds decide who does what.
It must not know how guests behave, nor how the gateway keeps anything.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TextIO

import aiohttp

from gateway.bench import churn, runner
from gateway.bench.benches import BenchError, Order
from gateway.bench.gathering import files, gauge
from gateway.bench.money import Charge, quiet
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.soak.count import Count
from gateway.bench.soak.guest import SoakGuest
from gateway.bench.soak.songs import MOST_EVENT_BYTES
from gateway.bench.soak.state import State, idle
from gateway.bench.soak.table import book_rows, complaint_rows, guest_rows, state_rows
from gateway.bench.soak.trouble import PAUSE_SECONDS, Trouble
from gateway.bench.stage import Crowd, Server, crowd, generous, server
from gateway.bench.ticks import run_loop
from gateway.bench.usage import split_processors
from gateway.bench.visits import Guest
from gateway.server.trimming import SECONDS as TRIM_SECONDS
from gateway.upstream.simulator.server import Simulator

LISTENERS = 200
GUESTS = 16
STEP_SECONDS = 10.0
# What a process needs at its height stays with it: the first time is long enough to meet most of what can come at once.
WARM_SHARE = 0.25
WORKERS = 2
_SEED = 20261126
_SPELL_STEPS = 30
_TIMEOUT = aiohttp.ClientTimeout(120)
_SILENT_SECONDS = 5.0  # of the provider in a song: longer than a busy machine makes of nothing

HOW = {
    "soak": f"{LISTENERS} listeners on two songs at their own speed come, go, stall and come back, each byte compared; "
    f"{GUESTS} guests, one visit after the other, order over REST and WebSocket, in 40 of 100 cases a song in which "
    "something goes wrong, and have it heard in three framings, over HTTP in eight formats, as HLS and as clips, with "
    "tickets, slowly, in part, and with breaks. Each few seconds the configuration is read again, and twice a minute "
    "a codec process killed. The ledger is on SQLite. After a first quarter of it, and after all of it, the gateway "
    "is looked at once nothing goes on.",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """`listeners` of the crowd on songs that begin each `step` seconds, and `guests`; `warm` is the first time, in
    seconds, and songs are kept for `retain`. Trouble comes after `pauses`, and `rest` before a look at the end.
    """

    listeners: int = LISTENERS
    guests: int = GUESTS
    step: float = STEP_SECONDS
    warm: float = STEP_SECONDS
    spare: float = 3.0
    retain: float = 8.0
    pauses: tuple[float, float] = PAUSE_SECONDS
    # A gateway gives back what memory it has no use for.
    rest: float = 1.5 * TRIM_SECONDS


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    step = min(STEP_SECONDS, order.seconds / 2)
    amount = scale or Scale(order.listeners or LISTENERS, step=step, warm=max(step, order.seconds * WARM_SHARE))

    def measure(part: str, tell: Tell) -> list[Row]:
        del part  # there is one
        return run_loop(_measure(order, amount, tell))

    return runner.run("soak", order, out, err, measure, HOW)


async def _measure(order: Order, scale: Scale, tell: Tell) -> list[Row]:
    rows: list[Row] = []
    for number in range(order.rounds):
        rows += await soak(scale, order.seconds, _SEED + number, tell)
    return rows


async def soak(scale: Scale, seconds: float, seed: int, tell: Tell) -> list[Row]:
    """All of it on one gateway. Raises BenchError."""
    _, others = split_processors()
    charges: dict[str, Charge] = {}

    def account(request_id: str, charged: float, told: bool) -> None:
        charges[request_id] = Charge(charged, told)

    with tempfile.TemporaryDirectory(prefix="wavegate-bench-") as folder:
        async with (
            Simulator(account=account) as simulator,
            server(simulator.url, None, _settings(simulator.url, Path(folder), scale)) as gateway,
            crowd(files(scale.listeners), others) as everybody,
        ):
            course = Course(gateway, everybody, scale, seed)
            tell(f"a first time of {scale.warm:g} s")
            before = await course.last(scale.warm, Count(), warm=True)
            tell(f"all of it for {seconds:g} s, seed {seed}")
            count = Count()
            await everybody.mark()
            begin = gateway.cpu()
            after = await course.last(seconds, count, before=before)
            cpu = gateway.cpu() - begin
            found = await everybody.report()
            tell("the books")
            ledger = await quiet(gateway.usage)
            retries = int(gauge(await gateway.metrics(), "wavegate_upstream_retries_total"))
            complaints = gateway.complaints.read_text(encoding="utf-8", errors="replace").splitlines()
            return [
                *guest_rows(count, found),
                Row("processor of the gateway", cpu, "s", None, f"of {found.wall:.0f} s", digits=1),
                *state_rows(before, after),
                *book_rows(ledger, charges, retries),
                *complaint_rows(complaints),
            ]


class Course:
    """Of one gateway and its crowd."""

    def __init__(self, gateway: Server, everybody: Crowd, scale: Scale, seed: int) -> None:
        self._gateway = gateway
        self._everybody = everybody
        self._scale = scale
        self._seed = seed
        self._times = 0

    async def last(self, seconds: float, count: Count, *, warm: bool = False, before: State | None = None) -> State:
        """Everything for so many seconds, and then what is left of the gateway."""
        self._times += 1
        scale = self._scale
        steps = max(1, round(seconds / scale.step))
        crowded = churn.Scale(scale.listeners, scale.step, 2, scale.spare, scale.retain)
        trouble = Trouble(self._gateway, self._chance("trouble"), count, scale.pauses)
        bothering = asyncio.create_task(trouble.go_on())
        guests = asyncio.create_task(self._guests(seconds, count, warm=warm))
        try:
            while steps > 0:  # in spells, after each of which the crowd forgets what it has heard
                spell, steps = min(steps, _SPELL_STEPS), steps - _SPELL_STEPS
                await churn.come_and_go(self._gateway, self._everybody, crowded, spell, self._seed + self._times)
            await guests
        except OSError as error:  # the crowd's song was refused
            raise BenchError(f"the soak cannot go on: {error}") from None
        finally:
            bothering.cancel()
            guests.cancel()
            await asyncio.wait([bothering, guests])
        await trouble.end()
        return await idle(self._gateway, WORKERS, before, rest=scale.rest)

    async def _guests(self, seconds: float, count: Count, *, warm: bool) -> None:
        """All of them, each for so many seconds, and until its last visit is over."""
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            gateway, end = self._gateway, loop.time() + seconds
            # Some come with the key, some with a ticket, and those who break off always have the key.
            key = {"Authorization": f"Bearer {gateway.key}"}
            bare, keyed = [
                await stack.enter_async_context(
                    aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
                )
                for headers in ({}, key)
            ]

            def guest(number: int) -> SoakGuest:
                name = f"{self._seed}-{self._times}-{number}"
                chance = self._chance(name)
                breaking = Guest(gateway.public, gateway.key, keyed, chance)
                return SoakGuest(gateway.public, gateway.key, bare, breaking, chance, count, name)

            async def visits(number: int) -> None:
                here = guest(number)
                while loop.time() < end:
                    await here.visit()

            if warm:
                await guest(-1).every_way()
            await asyncio.gather(*[visits(number) for number in range(self._scale.guests)])

    def _chance(self, name: str) -> Random:
        return Random(f"{self._seed}-{self._times}-{name}")  # noqa: S311 - the same course of events in every run


def _settings(url: str, folder: Path, scale: Scale) -> dict[str, Any]:
    """For a provider who is often at fault, and for songs that are soon forgotten."""
    plenty = 1_000_000
    return {
        "quota": {"store": f"sqlite:///{folder / 'usage.db'}"},
        "upstream": generous(
            url,
            requests_per_minute=plenty,
            retry_attempts=2,
            retry_seconds=5.0,
            first_event_timeout=10.0,
            idle_timeout=_SILENT_SECONDS,
            max_event_bytes=MOST_EVENT_BYTES,
            circuit_failures=plenty,
        ),
        "relay": {"retain_seconds": scale.retain},
        "transcode": {"workers": WORKERS, "keep_seconds": 3.0},
        "log": {"level": "warning"},
    }

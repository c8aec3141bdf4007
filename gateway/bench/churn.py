"""Whether anybody loses a byte, and whether anything is left behind, while listeners come and go in every way they can.

Several songs play at once, and the next begin before they end. Listeners join at the start, where the song is, or some
seconds ago, at both doors; they close, reset, stop reading for seconds, and come back for exactly what is due.
Invariant: each song has a listener who hears all of it, against whom all others are held, and the gateway's hash
against him. It must not know how listeners behave.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from gateway.bench import runner
from gateway.bench.benches import Order
from gateway.bench.crowd.mayhem import CHURN
from gateway.bench.crowd.orders import Found
from gateway.bench.gathering import FIRST, faults, files, gauge
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import Crowd, Server, Stage, crowd, prompt, server, stage
from gateway.bench.ticks import run_loop

MOST_MIB = 16.0
LISTENERS = 2000
STEP_SECONDS = 15.0
_SONGS_AT_ONCE = 3
_RETAIN_SECONDS = 8.0  # longer than anybody stops reading, so that nobody's song is forgotten behind him
_FORGET_SECONDS = 30.0
_LOOK_SECONDS = 0.25
_END_SECONDS = 60.0
_SEED = 20260506
_SPARE_SECONDS = 3.0
_MELODIES = 4

HOW = {
    "churn": f"{_SONGS_AT_ONCE} songs of 128 kbit/s at their own speed, the next beginning before they end. "
    "Each listener does something about each 20 s: closes, resets, breaks off and comes back for the chunk that is "
    "due, or stops reading for 1 to 6 s, some with a small window from a song's start. Every byte is compared, and "
    "each song's hash with what the gateway tells of it. Memory is what is in use when everybody has left and every "
    "song is forgotten, after all of it and after a first short time of it.",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """So many listeners. Every `step` seconds a song begins, which is there for so many steps as `songs` at once.

    `spare` is how much longer it is, so that nobody comes to one that is over; `retain` how long it is kept then.
    """

    listeners: int = LISTENERS
    step: float = STEP_SECONDS
    songs: int = _SONGS_AT_ONCE
    spare: float = _SPARE_SECONDS
    retain: float = _RETAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Rest:
    """What was left of a gateway once everybody had left: memory in bytes, listeners by its gauge, and songs."""

    memory: int
    listeners: float
    songs: int


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    amount = scale or Scale(order.listeners or LISTENERS, min(STEP_SECONDS, order.seconds / 2))

    def measure(part: str, tell: Tell) -> list[Row]:
        del part  # there is one
        return run_loop(_measure(order, amount, tell))

    return runner.run("churn", order, out, err, measure, HOW)


async def _measure(order: Order, scale: Scale, tell: Tell) -> list[Row]:
    async with stage() as here:
        rows = []
        for number in range(order.rounds):
            rows += await churn(here, scale, order.seconds, _SEED + number, tell)
        return rows + here.rows()


async def churn(here: Stage, scale: Scale, seconds: float, seed: int, tell: Tell) -> list[Row]:
    """All of it on one gateway: a first step for the memory to compare with, and then as many as last `seconds`."""
    more = {"relay": {"retain_seconds": scale.retain}, "log": {"level": "warning"}}
    async with (
        server(here.provider, here.processor, more) as gateway,
        crowd(files(scale.listeners), here.others) as everybody,
    ):
        tell(f"{scale.listeners} listeners come for a first time")
        await come_and_go(gateway, everybody, scale, 1, seed)
        before = await _rest(gateway)
        steps = max(1, round(seconds / scale.step))
        tell(f"{scale.listeners} listeners come and go for {steps * scale.step:g} s, seed {seed}")
        await everybody.mark()
        begin = gateway.cpu()
        counts = await come_and_go(gateway, everybody, scale, steps, seed)
        cpu = gateway.cpu() - begin
        found = await everybody.report()
        after = await _rest(gateway)
        complaints = gateway.complaints.read_text(encoding="utf-8", errors="replace").splitlines()
        return rows(found, counts, cpu, before, after, complaints)


async def come_and_go(gateway: Server, everybody: Crowd, scale: Scale, steps: int, seed: int) -> dict[str, int]:
    """Songs that begin one after the other, and everybody at them; then the last of them are heard to their ends."""
    songs: list[str] = []
    counts: dict[str, int] = {}
    for number in range(steps):
        begin = asyncio.get_running_loop().time()
        length = scale.songs * scale.step + scale.spare
        songs = [*songs, await gateway.order(prompt(length, number % _MELODIES))][-scale.songs :]
        where = {"url": gateway.public, "key": gateway.key}
        await everybody.join(FIRST, "websocket", count=1, since="start", streams=(songs[-1],), **where)
        rest = max(0.0, scale.step - (asyncio.get_running_loop().time() - begin))
        done = await everybody.churn(**where, streams=tuple(songs), listeners=scale.listeners, seconds=rest, seed=seed)
        counts = done.counts
    await everybody.end(scale.songs * scale.step + scale.spare + _END_SECONDS)
    for group in (FIRST, CHURN):
        await everybody.leave(group)
    return counts


async def _rest(gateway: Server) -> Rest:
    """What is left, as soon as nothing is, or after all the time that takes."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _FORGET_SECONDS
    while True:
        listeners, songs = gauge(await gateway.metrics(), "wavegate_listeners"), len(await gateway.streams())
        if (not listeners and not songs) or loop.time() > end:
            return Rest(gateway.resident(), listeners, songs)
        await asyncio.sleep(_LOOK_SECONDS)


def rows(
    found: Found, counts: dict[str, int], cpu: float, before: Rest, after: Rest, complaints: Sequence[str]
) -> list[Row]:
    """What went wrong, and what was left."""
    wrong, words = faults(found)
    groups = found.groups.values()
    ended, whole = (sum(getattr(group, name) for group in groups) for name in ("ended", "whole"))
    recovered = sum(group.recovered for group in groups)
    did = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    frames = sum(group.frames for group in groups)
    load = f"server {cpu / found.wall:.0%} of a processor, crowd {found.cpu / found.wall:.0%}"
    more = (after.memory - before.memory) / (1 << 20)
    return [
        Row("lost or wrong", wrong + ended - whole, "", 0.0, words or f"of {frames} frames", digits=0),
        Row("what listeners did", sum(counts.values()), "", None, did, digits=0),
        Row("came back, missed nothing", recovered, "", None, f"all who tried: {counts.get('resumed', 0)}", digits=0),
        Row("heard the end", whole, "", None, f"with the right hash or length; {load}", digits=0),
        Row("left in the gauge", after.listeners, "listeners", 0.0, "on the internal port", digits=0),
        Row("left of the songs", after.songs, "streams", 0.0, "", digits=0),
        Row(
            "more memory than before",
            more,
            "MiB",
            MOST_MIB,
            f"{before.memory / (1 << 20):.0f} after a first step, {after.memory / (1 << 20):.0f} at the end",
            digits=1,
        ),
        Row("complaints", len(complaints), "lines", 0.0, complaints[0] if complaints else "", digits=0),
    ]

"""The bench of the gateway's own delays: how long sound takes through it while very many others listen.

Each delay is told twice: by the gateway's metric, from byte in to byte written, and from outside by one clock, which
sees the sockets on both sides, too. Invariant: what is told from outside was all measured in this process; the metric
counts only what came within the measurement. It must not know how the gateway does it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TextIO

from gateway.bench import runner
from gateway.bench.benches import BenchError, Order
from gateway.bench.figures import percentile
from gateway.bench.latency_histogram import Histogram, histogram
from gateway.bench.latency_probe import Probe, probe
from gateway.bench.latency_scene import (
    EVENT_SECONDS,
    FRAME_SAMPLES,
    FRAMES,
    RATE,
    Scale,
    Scene,
    Tell,
    scene,
)
from gateway.bench.report import Row
from gateway.bench.ticks import run_loop
from gateway.protocol.frames import Header
from gateway.upstream.simulator.recipe import CHANNELS

TRIES = 40  # a round
HALF_MS, MOST_MS = 1.0, 5.0
_HEAR_SECONDS = 20.0
_APART = (0.01, 0.06)  # seconds before a first note: it falls anywhere between the others' chunks

HOW = {
    "first": "From the event that carries a song's first sound to its first listener, who waits, while the crowd hears "
    "other streams. The gateway's metric ends when the bytes are written; from outside it is from before the event is "
    "written until the listener's process has read the chunk: two socket hops and two wake-ups more, as a ping has. "
    "What a ping is late by on a busy machine, a first sound is, too.",
    "relay": "From the event that completes a chunk to everybody, by the gateway's metric (between its buckets on a "
    "straight line, as Prometheus does it), and from outside to the listener of each stream who is written to last.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a part measured, in seconds: from outside, of pings, and the gateway's own."""

    outside: Sequence[float]
    pings: Sequence[float]
    metric: Histogram


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None, random: Random | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    chance = random or Random()  # noqa: S311 - moments, not secrets
    size = scale or Scale()
    if order.listeners is not None:
        size = replace(size, listeners=order.listeners)

    def measure(part: str, tell: Tell) -> list[Row]:
        return run_loop(_measure(part, order, size, chance, tell))

    return runner.run("latency", order, out, err, measure, HOW)


async def _measure(part: str, order: Order, scale: Scale, random: Random, tell: Tell) -> list[Row]:
    async with scene(scale, tell) as here:
        if part == "first":
            tries = order.rounds * TRIES
            tell(f"{tries} first notes")
            return first_rows(await first(here, tries, random))
        tell(f"{order.seconds / 2:g} s of {scale.streams} streams")
        return relay_rows(await relay(here, order.seconds / 2))


# -- the first sound ---------------------------------------------------------------------------------------------------


async def first(here: Scene, tries: int, random: Random) -> Found:
    """So many songs, one after the other. Raises BenchError."""
    metric = "relay_first_audio_seconds"
    outside, pings = [], []
    before = histogram(await here.gateway.metrics(), metric)
    async with probe(here.gateway.public, here.gateway.key, here.clock, _nobody) as listener:
        for number in range(tries):
            outside.append(await _first_note(here, listener, number, random))
            pings.append(await _ping(here, listener))
    after = histogram(await here.gateway.metrics(), metric).since(before)
    if after.count != tries:
        raise BenchError(f"the gateway has measured {after.count} first sounds, not {tries}.")
    return Found(outside, pings, after)


async def _first_note(here: Scene, listener: Probe, number: int, random: Random) -> float:
    """Seconds from before the first event is written until its chunk is here."""
    arrival: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def heard(stream: str, header: Header, at: float) -> None:
        if not arrival.done():
            arrival.set_result(at)

    listener.heard = heard
    prompt = f"a single note to begin with, number {number}"
    listener.say("stream.create", ref=str(number), input={"prompt": prompt})
    generation = await here.provider.called(prompt)
    try:
        await listener.told("stream.created")
        await asyncio.sleep(random.uniform(*_APART))
        generation.send(here.pieces[0])
        arrived = await asyncio.wait_for(arrival, _HEAR_SECONDS)
    except TimeoutError:
        raise BenchError(f"a first note was not heard within {_HEAR_SECONDS:g} s.") from None
    finally:
        generation.finish(EVENT_SECONDS, RATE, CHANNELS)
    await listener.told("stream.completed")
    return arrived - generation.sent[0]


async def _ping(here: Scene, listener: Probe) -> float:
    sent = here.clock()
    listener.say("ping", t=sent)
    arrived, _ = await listener.told("pong")
    return arrived - sent


def _nobody(stream: str, header: Header, at: float) -> None:
    """Sound that nobody has asked for."""


def first_rows(found: Found) -> list[Row]:
    """Four judgements, and the pings to hold them against."""
    half, most = (found.metric.within(limit / 1e3) * 100 for limit in (HALF_MS, MOST_MS))
    spread = f"{found.metric.count} first sounds"
    return [
        Row(f"metric, within {HALF_MS:g} ms", half, "%", 50.0, spread, least=True, digits=1),
        Row(f"metric, within {MOST_MS:g} ms", most, "%", 99.0, spread, least=True, digits=1),
        *_outside(found.outside, HALF_MS, MOST_MS),
        Row("a ping, p50", percentile(found.pings, 0.5) * 1e3, "ms", None, _spread(found.pings)),
    ]


# -- every chunk -------------------------------------------------------------------------------------------------------


async def relay(here: Scene, seconds: float) -> Found:
    """All chunks of all streams for so long. Raises BenchError."""
    metric = "relay_latency_seconds"
    delays: list[float] = []

    def heard(stream: str, header: Header, at: float) -> None:
        delays.append(at - here.radio[stream].sent[completed_by(header)])

    async with probe(here.gateway.public, here.gateway.key, here.clock, _nobody) as listener:
        for stream in here.radio:
            listener.say("stream.attach", ref=stream, stream_id=stream, since="live", burst_ms=0)
            await listener.told("stream.started")
        pings = [await _ping(here, listener) for _ in range(TRIES)]
        before = histogram(await here.gateway.metrics(), metric)
        listener.heard = heard
        await asyncio.sleep(seconds)
        listener.heard = _nobody
        after = histogram(await here.gateway.metrics(), metric).since(before)
    if not delays or not after.count:
        raise BenchError(f"no chunk has come within {seconds:g} s.")
    return Found(delays, pings, after)


def completed_by(header: Header) -> int:
    """The number of the event that brought a chunk's last codec frame."""
    last_frame = (header.pts + header.duration) // FRAME_SAMPLES - 1
    return last_frame // FRAMES


def relay_rows(found: Found) -> list[Row]:
    """Both views of every chunk."""
    half, most = (found.metric.quantile(share) * 1e3 for share in (0.5, 0.99))
    return [
        Row("metric, p50", half, "ms", None, f"{found.metric.count} chunks"),
        Row("metric, p99", most, "ms", None, f"within 1 ms: {found.metric.within(0.001):.1%}"),
        *_outside(found.outside, None, None),
        Row("a ping, p50", percentile(found.pings, 0.5) * 1e3, "ms", None, _spread(found.pings)),
    ]


def _outside(delays: Sequence[float], half: float | None, most: float | None) -> list[Row]:
    return [
        Row("from outside, p50", percentile(delays, 0.5) * 1e3, "ms", half, _spread(delays)),
        Row("from outside, p99", percentile(delays, 0.99) * 1e3, "ms", most, f"{len(delays)} measured"),
    ]


def _spread(delays: Sequence[float]) -> str:
    lowest, most = min(delays) * 1e3, percentile(delays, 0.99) * 1e3
    return f"least {lowest:.2f}, p99 {most:.2f}, max {max(delays) * 1e3:.1f}"

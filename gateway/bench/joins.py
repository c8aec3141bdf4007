"""How fast very many come in while a song plays on to those who are there already, and what these notice of it.

Invariant: the time is from the first's connection to the last's first sound; everybody, old and new, hears the song to
its end, and every byte is checked. It must not know how listeners are gathered, nor how they are counted.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TextIO

from gateway.bench import runner
from gateway.bench.benches import Order
from gateway.bench.crowd.orders import Door
from gateway.bench.gathering import FIRST, OTHERS, gather, mistakes
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import CHUNK_SECONDS, Crowd, Missing, Server, Stage, prompt, stage
from gateway.bench.ticks import run_loop

LEAST = 1500.0  # a second
LISTENERS, RESIDENTS = 12_000, 1000
_COMERS = "comers"
_END_SECONDS = 30.0
_OUTSTANDING = 256

HOW = {
    part: "A song of 128 kbit/s plays to {residents} listeners over WebSocket; then the others come over "
    f"{door}, at most {_OUTSTANDING} of them in their handshakes at any moment, and begin where the song is just now. "
    "From the first's connection to the last's first sound. Every byte that anybody hears is checked."
    for part, door in (("websocket", "WebSocket"), ("http", "HTTP"))
}


@dataclass(frozen=True, slots=True)
class Scale:
    """So many come to so many who are there."""

    listeners: int = LISTENERS
    residents: int = RESIDENTS


@dataclass(frozen=True, slots=True)
class Arrival:
    """How many came in how many seconds, and the longest silence of those who were there.

    `cpu` is the gateway's processor time meanwhile, in seconds, `crowd_cpu` the crowd's. `wrong` is how many heard what
    they should not, or did not hear what they should.
    """

    listeners: int
    seconds: float
    silence: float
    cpu: float
    crowd_cpu: float
    wrong: int
    words: str


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    listeners = order.listeners or LISTENERS
    amount = scale or Scale(listeners, min(RESIDENTS, max(1, listeners // 12)))
    how = {part: words.format(residents=amount.residents) for part, words in HOW.items()}

    def measure(part: str, tell: Tell) -> list[Row]:
        door: Door = "http" if part == "http" else "websocket"
        return run_loop(_measure(door, order, amount, tell))

    return runner.run("joins", order, out, err, measure, how)


async def _measure(door: Door, order: Order, scale: Scale, tell: Tell) -> list[Row]:
    async with stage() as here:
        found = []
        for number in range(order.rounds):
            tell(f"{scale.listeners} listeners, round {number + 1} of {order.rounds}")
            found.append(await arrive(here, door, scale, order.seconds))
        return rows(found, scale) + here.rows()


async def arrive(here: Stage, door: Door, scale: Scale, seconds: float) -> Arrival:
    """One arrival of all of them; `seconds` of the song before and after it. Raises BenchError."""

    def play(gateway: Server, everybody: Crowd, length: float) -> Awaitable[Arrival]:
        return _arrive(gateway, everybody, door, scale, length)

    return await gather(here, scale.listeners + scale.residents, 2 * seconds, play)


async def _arrive(gateway: Server, everybody: Crowd, door: Door, scale: Scale, length: float) -> Arrival:
    stream = await gateway.order(prompt(length))
    where: dict[str, Any] = {"url": gateway.public, "key": gateway.key, "streams": [stream], "seconds": length}
    await everybody.join(FIRST, "websocket", count=1, since="start", **where)
    if scale.residents > 1:
        await everybody.join(OTHERS, "websocket", count=scale.residents - 1, since="live", **where)
    await everybody.mark()
    begin = gateway.cpu()
    joined = await everybody.join(_COMERS, door, count=scale.listeners, since="live", outstanding=_OUTSTANDING, **where)
    cpu = gateway.cpu() - begin
    found = await everybody.report()
    if any(group.ended for group in found.groups.values()):
        raise Missing("the song was over before all had come")
    last = await everybody.end(length + _END_SECONDS)
    wrong, words = mistakes(last, scale.listeners + scale.residents)
    silence = max(found.groups[name].silence for name in (FIRST, OTHERS) if name in found.groups)
    return Arrival(scale.listeners, joined.seconds, silence, cpu, found.cpu, wrong, words)


def rows(found: Sequence[Arrival], scale: Scale) -> list[Row]:
    """The median of the rates, and the worst of everything else."""
    rates = [one.listeners / one.seconds for one in found]
    cpu, crowd = (
        median(value / one.seconds for one, value in zip(found, values, strict=True))
        for values in ([one.cpu for one in found], [one.crowd_cpu for one in found])
    )
    each = median(one.cpu / one.listeners for one in found) * 1e6
    wrong = sum(one.wrong for one in found)
    everybody = len(found) * (scale.listeners + scale.residents)
    words = next((one.words for one in found if one.words), f"{everybody} heard every byte to the end")
    return [
        Row(
            "joins a second",
            median(rates),
            "",
            LEAST,
            f"{min(rates):.0f} to {max(rates):.0f}; server {cpu:.0%} of a processor, crowd {crowd:.0%}",
            least=True,
            digits=0,
        ),
        Row("processor time meanwhile", each, "us", None, "a join, with what is played to everybody", digits=0),
        Row(
            f"longest silence of {scale.residents}",
            max(one.silence for one in found) * 1e3,
            "ms",
            None,
            f"a chunk comes each {CHUNK_SECONDS * 1e3:.0f} ms",
            digits=0,
        ),
        Row("lost or wrong", wrong, "", 0.0, words, digits=0),
    ]

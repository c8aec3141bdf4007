"""What it costs to give one chunk to very many: processor time of the gateway for each frame that arrives.

Invariant: figures that are compared come from the same run, measured in turns, and the medians of the rounds are told.
It must not know how listeners are gathered, nor how they are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from gateway.bench import beside, runner
from gateway.bench.benches import Order
from gateway.bench.fanout_rows import http_rows, named, streams_rows, websocket_rows
from gateway.bench.gathering import SETTLE_SECONDS, Sitting, Size, sit
from gateway.bench.peers.table import PEERS
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import Stage, stage
from gateway.bench.ticks import run_loop

HOW = {
    "websocket": "A song of 128 kbit/s at its own speed, a chunk of 3 KiB each 192 ms, to so many listeners over "
    "WebSocket. The gateway has a processor for itself; its processor time is the kernel's. Every byte is compared, "
    "and the song's hash with what the gateway tells of it.",
    "http": "The same to the same number over HTTP, in turns with WebSocket; processor time for each KiB on the wire.",
    "streams": "The same number of listeners on very many streams and on one, in turns. What the streams themselves "
    "take is in it.",
    "peers": "Servers that give everybody one message of the same size in the same rhythm, each in turns with the "
    "gateway, on the same processor, with the same crowd. Wavegate by a peer is the median of the rounds' ratios.",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything. `sizes` are listeners over WebSocket, in rising order; the last one is judged."""

    sizes: Sequence[int]
    http: int
    streams: int
    each: int
    beside: int
    settle: float = SETTLE_SECONDS
    peers: Sequence[str] = tuple(PEERS)


def scale_of(listeners: int | None) -> Scale:
    """The usual, or with at most so many listeners."""
    if listeners is None:
        return Scale((200, 2000, 12_000), 2000, 200, 50, 2000)
    sizes = sorted({max(1, listeners // 60), max(1, listeners // 6), listeners})
    each = min(50, max(1, listeners // 2))
    return Scale(sizes, listeners, max(1, min(200, listeners // each)), each, listeners)


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    parts = Parts(order, scale or scale_of(order.listeners))
    return runner.run("fanout", order, out, err, lambda part, tell: run_loop(parts.measure(part, tell)), HOW)


class Parts:
    """The parts of one run."""

    def __init__(self, order: Order, scale: Scale) -> None:
        self._order = order
        self._scale = scale

    async def measure(self, part: str, tell: Tell) -> list[Row]:
        """The figures of one part."""
        scale = self._scale
        async with stage() as here:
            match part:
                case "websocket":
                    sizes = [Size("websocket", number) for number in scale.sizes]
                    rows = websocket_rows(await self._rounds(here, sizes, tell))
                case "http":
                    pair = [Size("websocket", scale.http), Size("http", scale.http)]
                    rows = http_rows(await self._rounds(here, pair, tell))
                case "streams":
                    number = scale.streams * scale.each
                    pair = [Size("websocket", number), Size("websocket", number, scale.streams)]
                    rows = streams_rows(await self._rounds(here, pair, tell))
                case _:
                    peers = [PEERS[name] for name in scale.peers]
                    order = self._order
                    rows = await beside.compare(
                        here, peers, scale.beside, order.seconds, order.rounds, tell, scale.settle
                    )
            return rows + here.rows()

    async def _rounds(self, here: Stage, sizes: Sequence[Size], tell: Tell) -> list[list[Sitting]]:
        """For each size its sittings, one a round."""
        found: list[list[Sitting]] = [[] for _ in sizes]
        for number in range(self._order.rounds):
            for sittings, size in zip(found, sizes, strict=True):
                tell(f"{named(size)}, round {number + 1} of {self._order.rounds}")
                sittings.append(await sit(here, size, self._order.seconds, self._scale.settle))
        return found

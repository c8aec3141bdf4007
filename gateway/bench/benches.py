"""The benches by their names, as the command line offers them.

Invariant: this table is cheap to import: what a bench needs is imported when it runs. Whatever is measured is measured
in that run; a target that is missed is no failure, unless somebody asks for strictness.
It must not know what a bench does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

DONE, FAILED = 0, 1
LEAST_SECONDS, MOST_SECONDS = 0.5, 180.0  # of a song, which is not endless
MOST_LISTENERS = 19_000  # one process has so many files, where a system is not told otherwise


class BenchError(Exception):
    """Nothing could be measured, and the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asks of a bench. `seconds` of song; `rounds` of what is repeated; `only` these parts, empty is all.

    `json` is a file for the figures, `strict` makes a missed target a failure. `listeners` is None for the usual.
    """

    seconds: float
    rounds: int
    only: Sequence[str]
    json: Path | None
    strict: bool
    listeners: int | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """`run` writes the table to its first stream, progress to its second, and gives the exit code. Raises BenchError.

    `parts` are what it measures, in order, each with what it tells. `seconds` and `rounds` are the usual ones, `most`
    the longest, and `listeners` says how many are usual, where that can be chosen.
    """

    help: str
    parts: dict[str, str]
    run: Callable[[Order, TextIO, TextIO], int]
    seconds: float = 60.0
    rounds: int = 5
    listeners: str | None = None
    told: str = "of song; less is quicker"
    most: float = MOST_SECONDS


def _transcode(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.transcode import run

    return run(order, out, err)


def _fanout(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.fanout import run

    return run(order, out, err)


def _joins(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.joins import run

    return run(order, out, err)


def _churn(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.churn import run

    return run(order, out, err)


def _latency(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.latency import run

    return run(order, out, err)


def _money(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.money import run

    return run(order, out, err)


def _cluster(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.cluster import run

    return run(order, out, err)


def _soak(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.soak.bench import run

    return run(order, out, err)


BENCHES: dict[str, Bench] = {
    "transcode": Bench(
        "what it costs to make other formats of a song while it is made",
        {
            "cpu": "processor time, beside the ffmpeg program",
            "container": "what packing adds to the delay",
            "first": "from a frame of the song to the first packet",
            "loop": "the event loop's delay under many renditions and listeners",
            "capacity": "encodes for each processor",
            "memory": "memory, threads and processes",
        },
        _transcode,
    ),
    "fanout": Bench(
        "what it costs to give a song to very many listeners at once",
        {
            "websocket": "processor time a frame, memory a listener, and every byte checked",
            "http": "the same over HTTP, by WebSocket",
            "streams": "many streams by one",
            "peers": "other servers beside it",
        },
        _fanout,
        seconds=10.0,
        rounds=3,
        listeners="200, 2000 and 12000, 2000 in comparisons, 10000 on streams",
        told="that are counted, once everybody has come",
    ),
    "joins": Bench(
        "how fast very many come in while a song plays on",
        {"websocket": "over WebSocket", "http": "over HTTP"},
        _joins,
        seconds=2.0,
        rounds=3,
        listeners="12000",
        told="between one round and the next",
    ),
    "churn": Bench(
        "whether anybody loses a byte while listeners come, go, break off, stall and come back",
        {"churn": "every byte, everybody's end, and what is left behind"},
        _churn,
        seconds=180.0,
        rounds=1,
        listeners="2000",
        told="of coming and going",
        most=3600.0,
    ),
    "money": Bench(
        "whether the books are right while everything goes wrong",
        {
            "rush": "a hundred times a round two hundred orders at once against room for ten",
            "faults": "a thousand orders a round, broken off by both sides, against the provider's account",
            "killed": "five deaths a round: no bill is lost, and no slot is held beyond its lease",
        },
        _money,
        rounds=10,
        listeners="100 orders",
    ),
    "soak": Bench(
        "whether a gateway is in the end as it was in the beginning, after everything at once and for long",
        {"soak": "what is left, and every second that the provider made"},
        _soak,
        seconds=600.0,
        rounds=1,
        listeners="200, beside 16 guests",
        told="of everything at once, hours if you like",
        most=48 * 3600.0,
    ),
    "latency": Bench(
        "how long sound takes through the gateway",
        {
            "first": "from the provider's first byte to the first listener's",
            "relay": "from a chunk's last byte in to every listener's socket",
        },
        _latency,
        seconds=60.0,
        rounds=5,
        listeners="1000",
        told="half of them are counted",
    ),
    "cluster": Bench(
        "what several workers and nodes cost, and what they carry",
        {
            "workers": "processor time a frame with one worker and with two",
            "latency": "what the way to another node adds to the delay of sound",
            "commands": "what a stream asks of Redis, with one listener on another node and with many",
        },
        _cluster,
        seconds=10.0,
        rounds=3,
        listeners="6000, 200 on another node",
        told="that are counted, once everybody has come",
    ),
}

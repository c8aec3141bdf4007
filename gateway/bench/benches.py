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


class BenchError(Exception):
    """Nothing could be measured, and the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asks of a bench. `seconds` of song; `rounds` of what is repeated; `only` these parts, empty is all.

    `json` is a file for the figures, `strict` makes a missed target a failure.
    """

    seconds: float
    rounds: int
    only: Sequence[str]
    json: Path | None
    strict: bool


@dataclass(frozen=True, slots=True)
class Bench:
    """`run` writes the table to its first stream, progress to its second, and gives the exit code. Raises BenchError.

    `parts` are what it measures, in order, each with what it tells.
    """

    help: str
    parts: dict[str, str]
    run: Callable[[Order, TextIO, TextIO], int]


def _transcode(order: Order, out: TextIO, err: TextIO) -> int:
    from gateway.bench.transcode import run

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
}

"""The bench of the live transcoder: its parts, and how much of everything is measured.

Invariant: what a part needs and cannot have is told before anybody has waited.
It must not know how a part measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from gateway.bench import capacity, container, conversion, first, loop, memory, runner
from gateway.bench.benches import Order
from gateway.bench.codecs import CODECS
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.song import song
from gateway.bench.ticks import run_loop

HOW = {
    "cpu": "Whole conversions of an mp3 of 192 kbit/s in 250 ms steps, each in a process of one thread on one "
    "processor, in turns with ffmpeg -threads 1. Start-up is taken off. x is of the best round "
    "of each, since others on a machine can only make it longer; beside it what these took, and of the rounds' own "
    "ratios the lowest, the median and the highest.",
    "container": "A packet into the packager, its bytes looked for in what comes out; and the sound in a chunk.",
    "first": "From a new encode to its first packet, over the socket to a warm worker: the sound that must have come, "
    "frames of 24 ms, and the wait after the last of them. The median is shown, the worst is judged.",
    "loop": "How late a timer of 1 ms fires in the gateway's loop, while mp3 is made opus for each of the streams and "
    "heard by all listeners over HTTP. Provider and listeners are processes of their own, which stand aside; the "
    "idle loop beside it is one more, and shows what a busy machine alone makes of a loop.",
    "capacity": "Encodes from mp3 to opus in real time in one worker; its processor time is the kernel's, messages "
    "included.",
    "memory": "What a worker's resident memory grows by, for each encode that has had 5 s of the song.",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything. The times in seconds of `loop` and `capacity` are shares of the order's seconds."""

    crowd: loop.Crowd = field(default_factory=loop.Crowd)
    settle: float = 2.0
    encodes: int = 50
    held: int = 40
    tries: int = 50
    conversions: Sequence[conversion.Conversion] = conversion.CONVERSIONS
    resampled: Sequence[conversion.Conversion] = conversion.RESAMPLED
    codecs: Sequence[str] = tuple(CODECS)


def run(order: Order, out: TextIO, err: TextIO, scale: Scale | None = None) -> int:
    """Measures what is ordered. Raises BenchError."""
    amount = scale or Scale()
    if "cpu" in runner.chosen("transcode", order):
        conversion.find_ffmpeg()  # here, so that nobody waits in vain
    return runner.run("transcode", order, out, err, lambda part, tell: measure(part, order, amount, tell), HOW)


def measure(part: str, order: Order, scale: Scale, tell: Tell) -> list[Row]:
    """The figures of one part."""
    if part == "loop":
        return run_loop(loop.measure(scale.crowd, order.seconds / 2, tell, scale.settle))
    music = song(order.seconds)
    match part:
        case "cpu":
            other = song(order.seconds, 44_100)
            rows = conversion.measure(music, scale.conversions, order.rounds, tell)
            return rows + conversion.measure(other, scale.resampled, order.rounds, tell)
        case "container":
            tell("all formats")
            return container.measure(music.first(5.0))
        case "first":
            tell(f"{scale.tries} tries of each codec")
            return run_loop(first.measure(music, scale.codecs, scale.tries))
        case "capacity":
            tell(f"{scale.encodes} encodes")
            return run_loop(capacity.measure(music, scale.encodes, order.seconds / 4))
        case _:
            return run_loop(memory.measure(music, scale.codecs, scale.held, tell))

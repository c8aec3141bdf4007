"""What the figures of a cluster mean, as rows, and what is asked of them.

Invariant: pure; a ratio is of two turns of one round, and the median of the rounds is judged.
It must not know how anything was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gateway.bench.fanout_rows import cost, frame_us, right
from gateway.bench.figures import percentile
from gateway.bench.gathering import Sitting
from gateway.bench.report import Row

CARRIED = 1.8
HALF_MS, MOST_MS = 3.0, 15.0
MOST_COMMANDS = 20.0
_TOLD = 3  # commands that are named


@dataclass(frozen=True, slots=True)
class Turn:
    """One sitting, and seconds of processor time that Redis took while it was counted."""

    sitting: Sitting
    redis: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What nodes sent to Redis in so many `seconds` with so many listeners on another node, and how much it did."""

    listeners: int
    sent: dict[str, int]
    done: int
    seconds: float

    @property
    def rate(self) -> float:
        """Commands sent a second."""
        return sum(self.sent.values()) / self.seconds

    def told(self) -> str:
        """What was done in all, and what was sent most, a second."""
        most = sorted(self.sent.items(), key=lambda item: -item[1])[:_TOLD]
        names = ", ".join(f"{name} {calls / self.seconds:.1f}" for name, calls in most)
        return f"{self.done / self.seconds:.0f}/s done; {names}"


def worker_rows(one: Sequence[Turn], two: Sequence[Turn]) -> list[Row]:
    """What a frame costs with each, and how many listeners two carry for each of one."""
    sittings = [turn.sitting for turn in one], [turn.sitting for turn in two]
    carried = [2 * frame_us(first) / frame_us(second) for first, second in zip(*sittings, strict=True)]
    load = [turn.sitting.cpu / turn.sitting.wall * 100 for turn in two]
    sharing = [
        (frame_us(second) - frame_us(first)) * second.frames / second.wall / 1e4
        for first, second in zip(*sittings, strict=True)
    ]
    redis = median(turn.redis / turn.sitting.wall for turn in two) * 100
    return [
        cost("a frame, one process", sittings[0], frame_us),
        cost("a frame, two workers", sittings[1], frame_us),
        Row(
            "two workers carry",
            median(carried),
            "x",
            CARRIED,
            f"{min(carried):.2f} to {max(carried):.2f}; as many listeners as one",
            least=True,
        ),
        Row("sharing takes", median(sharing), "%", None, f"of a processor, of {median(load):.0f} % in all", digits=1),
        Row("Redis takes", redis, "%", None, "of a processor", digits=1),
        right([*sittings[0], *sittings[1]]),
    ]


def latency_rows(delays: Sequence[float], pings: Sequence[float]) -> list[Row]:
    """What is added for a listener on another node, beside what a ping takes there."""
    usual, slow = (percentile(delays, share) * 1e3 for share in (0.5, 0.99))
    return [
        Row("added, p50", usual, "ms", HALF_MS, f"{len(delays)} chunks, least {min(delays) * 1e3:.2f}"),
        Row("added, p99", slow, "ms", MOST_MS, f"max {max(delays) * 1e3:.1f}"),
        Row("a ping, p50", percentile(pings, 0.5) * 1e3, "ms", None, f"p99 {percentile(pings, 0.99) * 1e3:.2f}"),
    ]


def command_rows(idle: Asked, one: Asked, many: Asked) -> list[Row]:
    """Commands a second: of two nodes alone, and for one stream beyond that."""
    least = idle.rate
    return [
        Row("two nodes, no stream", least, "/s", None, idle.told(), digits=1),
        Row("a stream, 1 listener", one.rate - least, "/s", MOST_COMMANDS, one.told(), digits=1),
        Row(f"a stream, {many.listeners} listeners", many.rate - least, "/s", MOST_COMMANDS, many.told(), digits=1),
    ]

"""What the fan-out's sittings mean, as rows: medians, ratios, and what is asked of them.

Invariant: pure; a ratio is of two sittings of one round, and the median of the rounds is judged.
It must not know how anything was measured.
"""

from collections.abc import Callable, Sequence
from statistics import median

from gateway.bench.gathering import Sitting, Size, typical
from gateway.bench.report import Row
from gateway.bench.stage import CHUNK_SECONDS

FLAT, ALIKE, STREAMS_ALIKE = 1.15, 1.15, 1.25
MOST_KIB = 12.0
MOST_PAGE_MS = 20.0


def named(size: Size) -> str:
    """A size in words."""
    streams = "" if size.streams == 1 else f" of {size.streams} streams"
    return f"{size.listeners} listeners{streams} over {'HTTP' if size.door == 'http' else 'WebSocket'}"


def websocket_rows(found: Sequence[Sequence[Sitting]]) -> list[Row]:
    """A figure for each size, and what is asked of them all and of the largest."""
    rows = [cost(f"a frame, {sittings[0].size.listeners} listeners", sittings, frame_us) for sittings in found]
    levels = [median(map(frame_us, sittings)) for sittings in found]
    largest = found[-1]
    number = largest[0].size.listeners
    slowest = max(sitting.slowest for sitting in largest)
    usual = median(map(typical, largest)) * 1e3
    memory = median(sitting.memory for sitting in largest) / 1024
    page = median(sitting.scrape for sitting in largest)
    return [
        *rows,
        Row("dearest by cheapest number", max(levels) / min(levels), "x", FLAT, "flat, if the number does not matter"),
        right([sitting for sittings in found for sitting in sittings]),
        counted([sitting for sittings in found for sitting in sittings]),
        Row(
            f"a chunk to all {number}",
            slowest * 1e3,
            "ms",
            CHUNK_SECONDS * 1e3,
            f"the slowest; {usual:.0f} is usual, its period is {CHUNK_SECONDS * 1e3:.0f}",
            digits=0,
        ),
        Row("the page of metrics", page * 1e3, "ms", MOST_PAGE_MS, f"while {number} listen", digits=1),
        Row("memory of a listener", memory, "KiB", MOST_KIB, f"of {number}, resident", digits=1),
    ]


def http_rows(found: Sequence[Sequence[Sitting]]) -> list[Row]:
    """What a KiB costs at both doors, and the ratio of each round."""
    return [
        cost("a KiB over WebSocket", found[0], kib_us),
        cost("a KiB over HTTP", found[1], kib_us),
        ratio("HTTP by WebSocket", found[1], found[0], kib_us, ALIKE),
        right([*found[0], *found[1]]),
        counted([*found[0], *found[1]]),
    ]


def streams_rows(found: Sequence[Sequence[Sitting]]) -> list[Row]:
    """What a frame costs on one stream and on many."""
    many = found[1][0].size
    return [
        cost("a frame, one stream", found[0], frame_us),
        cost(f"a frame, {many.streams} streams", found[1], frame_us),
        ratio("many streams by one", found[1], found[0], frame_us, STREAMS_ALIKE),
        right([*found[0], *found[1]]),
        counted([*found[0], *found[1]]),
    ]


def cost(name: str, sittings: Sequence[Sitting], value: Callable[[Sitting], float]) -> Row:
    """The median of the rounds."""
    values = [value(sitting) for sitting in sittings]
    spread = f"{min(values):.1f} to {max(values):.1f}; {sittings[-1].told()}"
    return Row(name, median(values), "us", None, spread)


def ratio(
    name: str,
    ours: Sequence[Sitting],
    theirs: Sequence[Sitting],
    value: Callable[[Sitting], float],
    most: float | None,
    words: str = "",
) -> Row:
    """The median of the rounds' ratios."""
    ratios = [value(one) / value(other) for one, other in zip(ours, theirs, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return Row(name, median(ratios), "x", most, f"{spread}; {words}" if words else spread)


def right(sittings: Sequence[Sitting]) -> Row:
    """Whether everybody was given every byte."""
    wrong = sum(sitting.wrong for sitting in sittings)
    heard = sum(sitting.size.listeners for sitting in sittings)
    words = next((sitting.words for sitting in sittings if sitting.words), f"{heard} heard every byte of a song")
    return Row("lost or wrong", wrong, "", 0.0, words, digits=0)


def counted(sittings: Sequence[Sitting]) -> Row:
    """Whether the server's metrics say what the crowd has counted, to the last frame."""
    wrong = sum(abs(sitting.counted - sitting.heard) for sitting in sittings)
    heard = sum(sitting.heard for sitting in sittings)
    return Row("frames miscounted", wrong, "", 0.0, f"the gateway's metrics by the {heard} that came", digits=0)


def frame_us(sitting: Sitting) -> float:
    return sitting.frame_us


def kib_us(sitting: Sitting) -> float:
    return sitting.kib_us

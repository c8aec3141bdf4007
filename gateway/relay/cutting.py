"""How sound is cut into chunks: how much of it leaves at once, and where.

Invariant: what has come leaves as a whole, if it is enough for a chunk: what were left behind for want of company would
be missing from what listeners have in stock, until the next slice. A chunk is whole packets, alike long, of 250 ms at
most where packets allow it.
It must not know codecs, channels or who sends.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import ceil

# Message rate, not bytes, is what fan-out costs; below 100 ms it doubles for nothing a listener can hear.
SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 0.25


def cuts(durations: Sequence[int], rate: int) -> list[int]:
    """How many packets each chunk has, of packets of so many samples at `rate` Hz."""
    longest = round(LONGEST_SECONDS * rate) - max(durations, default=0)
    if longest <= 0:
        return [1] * len(durations)
    ends = list(accumulate(durations))
    parts = max(1, ceil(ends[-1] / longest)) if ends else 0
    borders = {0, *(bisect_right(ends, ends[-1] * part // parts) for part in range(1, parts + 1))}
    return [end - begin for begin, end in pairwise(sorted(borders))]

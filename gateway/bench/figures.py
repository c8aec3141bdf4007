"""Arithmetic on what was measured.

Invariant: pure, and of the values alone; percentiles are values that were seen, never between two of them.
It must not know units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of all does not exceed. Needs one value."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share) - 1)]


@dataclass(slots=True)
class Pairs:
    """The same work done by us and by somebody else, in pairs of one round each, in seconds.

    `ours` and `theirs` are the whole work, the others that of next to nothing: what a program's start takes.
    """

    ours: list[float]
    theirs: list[float]
    our_starts: list[float]
    their_starts: list[float]

    def best(self) -> tuple[float, float]:
        """What each takes at its least, without its start at its least.

        Others on a machine can make a round longer and never shorter, and one that is mostly a start above all.
        """
        return min(self.ours) - min(self.our_starts), min(self.theirs) - min(self.their_starts)

    def ratio(self) -> float:
        """Ours as a multiple of theirs; infinite where theirs is nothing."""
        return _ratio(*self.best())

    def ratios(self) -> list[float]:
        """The same of each round, with the median start taken off."""
        ours, theirs = median(self.our_starts), median(self.their_starts)
        pairs = zip(self.ours, self.theirs, strict=True)
        return [_ratio(mine - ours, other - theirs) for mine, other in pairs]


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs > 0 else math.inf

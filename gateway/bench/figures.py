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

    def net(self) -> tuple[list[float], list[float]]:
        """Both without their starts. The median start is taken off, since each is short and noisy."""
        ours, theirs = median(self.our_starts), median(self.their_starts)
        return [value - ours for value in self.ours], [value - theirs for value in self.theirs]

    def ratios(self) -> list[float]:
        """Ours as a multiple of theirs; infinite where theirs is nothing."""
        ours, theirs = self.net()
        return [mine / other if other > 0 else math.inf for mine, other in zip(ours, theirs, strict=True)]

    def differences(self) -> list[float]:
        """By how many seconds ours is more."""
        return [mine - other for mine, other in zip(*self.net(), strict=True)]

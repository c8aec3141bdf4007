"""In which order tests are dealt out to processes that share them: so that what waits long does not wait last.

Whoever has done its share takes over from the end of another's. Invariant: the tests of a file stay together and in
order, each share is about as many tests as any other, and begins with those of the slow folders.
It must not know who runs them.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import TypeVar

Test = TypeVar("Test")


def dealt(tests: Iterable[Test], shares: int, file: Callable[[Test], Path], slow: tuple[Path, ...]) -> list[Test]:
    """All of them, one share behind the other."""
    files = [(path, list(group)) for path, group in groupby(tests, file)]
    hands: list[list[Test]] = [[] for _ in range(shares)]
    # Stable: of each kind the files stay in their order.
    for _, group in sorted(files, key=lambda one: not any(one[0].is_relative_to(folder) for folder in slow)):
        min(hands, key=len).extend(group)
    return [test for hand in hands for test in hand]

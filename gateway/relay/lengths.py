"""How long the chunks of a log are, so that what lies between two of them is known at once, also when they have gone.

Invariant: sixteen bytes a chunk, and no audio.
It must not know who wants to know.
"""

from array import array


class Lengths:
    """Of the chunks from number `first` on: octets of payload, and samples."""

    def __init__(self) -> None:
        self._first = 0
        self._octets = array("Q", [0])
        self._samples = array("Q", [0])

    def begin(self, first: int) -> None:
        """The next one to be added is number `first`; there is none before it."""
        self._first = first

    def add(self, octets: int, samples: int) -> None:
        """The next chunk."""
        self._octets.append(self._octets[-1] + octets)
        self._samples.append(self._samples[-1] + samples)

    def between(self, begin: int, end: int) -> tuple[int, int]:
        """Octets and samples from chunk `begin` up to but not including `end`, as far as they are known."""
        last = len(self._octets) - 1
        start, stop = (min(max(number - self._first, 0), last) for number in (begin, end))
        return self._octets[stop] - self._octets[start], self._samples[stop] - self._samples[start]

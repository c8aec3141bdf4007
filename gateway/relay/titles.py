"""What a stream is called, and from which second of its sound on.

Invariant: every second has a title; titles begin in the order in which they were given, and of very many the newest
are kept. It must not know doors, nor how a title is written there.
"""

from bisect import bisect_right

# Of a song of 200 s a title for every second.
MOST_TITLES = 256
LONGEST_TITLE = 80


def title_of(words: str, otherwise: str) -> str:
    """The first line of what is sung or said that is no tag such as [verse]; `otherwise` where there is none."""
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.strip().startswith("[")]
    first = lines[0] if lines else otherwise
    return first if len(first) <= LONGEST_TITLE else first[: LONGEST_TITLE - 1] + "…"


class Titles:
    """A timeline: each title holds from its second to the next one's."""

    def __init__(self, first: str) -> None:
        self._seconds = [0.0]
        self._texts = [first]

    @property
    def newest(self) -> str:
        return self._texts[-1]

    def begin(self, second: float, text: str) -> None:
        """From this second on, which is none before the newest title's, it is called this."""
        if text == self.newest:
            return
        second = max(second, self._seconds[-1])
        if second == self._seconds[-1]:
            self._texts[-1] = text
            return
        self._seconds.append(second)
        self._texts.append(text)
        if len(self._texts) > MOST_TITLES:
            del self._texts[0], self._seconds[0]

    def settle(self, text: str) -> None:
        """The whole of it is called this, also for those who have heard only a part."""
        self._seconds, self._texts = [0.0], [text]

    def at(self, second: float) -> str:
        """What sounds at this second; before the oldest that is kept, the oldest."""
        return self._texts[max(0, bisect_right(self._seconds, second) - 1)]

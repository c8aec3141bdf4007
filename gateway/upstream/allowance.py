"""How many generations the provider seems to take at once, learned from what it says.

It publishes no number: it answers that it is full. Invariant: the limit stays from 1 to what the operator allows; it
grows by about one for each full round that went well, and shrinks by a factor when the provider is full, once for
all the calls that were out at that time. It must not know a clock or what a generation is.
"""

# Being full is a hard wall here, not a queue that must be drained, so there is no need to fall to half of it.
SHRINK = 0.7


class Allowance:
    """The limit on calls at once: additive increase, multiplicative decrease, from 1 to `most`; it starts at `most`.

    `era` counts the decreases. A call remembers the era it began in, and its refusal counts in that one only: twenty
    calls that are refused together are one piece of news.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._value = float(most)
        self.era = 0

    @property
    def limit(self) -> int:
        """How many may be out at once."""
        return int(self._value)

    def succeeded(self, used: int) -> None:
        """A call was taken while `used` were out, itself included; it teaches something only at the limit."""
        if used >= self.limit:
            self._value = min(float(self._most), self._value + 1.0 / self.limit)

    def throttled(self, used: int, era: int) -> None:
        """A call of that era was refused for want of room while `used` were out, itself included."""
        if era == self.era:
            # The wall is somewhere below `used`, which may be far below a limit that was never reached.
            self._value = max(1.0, min(self._value, float(used)) * SHRINK)
            self.era += 1

"""How often each fault with an id has happened: the one thing that the simulator remembers of requests.

Invariant: ids do not disturb each other, and of more than `MOST` the one that was asked for longest ago is forgotten.
It must not know what is counted.
"""

from collections import OrderedDict

MOST = 10_000


class Tally:
    """Counts by id."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def due(self, name: str, times: int) -> bool:
        """Counts one more under `name`; whether it is among the first `times`."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        self._counts.move_to_end(name)
        if len(self._counts) > MOST:
            self._counts.popitem(last=False)
        return count <= times

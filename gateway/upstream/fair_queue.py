"""A queue that is fair between tenants, however many each of them has waiting: start-time fair queuing.

Every tenant has a lane in order of arrival, and each lane a tag that moves on by 1/weight when one of it is served; the
lane with the lowest tag is next, and one that joins starts at the tag being served, so that absence earns nothing.
Invariant: while two tenants wait, what they are served differs by at most one of each, by weight; what is remembered
is bounded by who waits and who was served since the queue was last empty. It must not know time or what waits.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


@dataclass(slots=True)
class _Lane(Generic[Item]):
    tag: float
    step: float
    items: OrderedDict[Item, None] = field(default_factory=OrderedDict)


class FairQueue(Generic[Key, Item]):
    """Items in lanes by key; `weight` says how many of a key are served for one of a key of weight 1 (above 0)."""

    def __init__(self, weight: Callable[[Key], float] = lambda _: 1.0) -> None:
        self._weight = weight
        self._lanes: dict[Key, _Lane[Item]] = {}
        # The tags of lanes that have emptied ahead of the others: who leaves and comes back is not served anew.
        self._left: dict[Key, float] = {}
        self._tag = 0.0

    def __len__(self) -> int:
        return sum(len(lane.items) for lane in self._lanes.values())

    def waiting(self, key: Key) -> int:
        """How many of this key wait."""
        lane = self._lanes.get(key)
        return len(lane.items) if lane is not None else 0

    def push(self, key: Key, item: Item, *, first: bool = False) -> None:
        """Lets the item wait behind those of its key, or before them."""
        lane = self._lanes.get(key)
        if lane is None:
            tag = max(self._tag, self._left.pop(key, 0.0))
            lane = self._lanes[key] = _Lane(tag, 1.0 / self._weight(key))
        lane.items[item] = None
        if first:
            lane.items.move_to_end(item, last=False)

    def head(self) -> tuple[Key, Item]:
        """The next to be served and its key; at least one must be waiting."""
        key, lane = self._next()
        return key, next(iter(lane.items))

    def pop(self) -> Item:
        """The next to be served; at least one must be waiting."""
        key, lane = self._next()
        item, _ = lane.items.popitem(last=False)
        self._tag = lane.tag
        lane.tag += lane.step
        self._tidy(key, lane)
        return item

    def remove(self, key: Key, item: Item) -> bool:
        """Takes out an item that no longer waits; whether it was there."""
        lane = self._lanes.get(key)
        if lane is None or item not in lane.items:
            return False
        del lane.items[item]
        self._tidy(key, lane)
        return True

    def order(self) -> list[Item]:
        """All that wait, in the order in which they are served if nobody else comes."""
        # Lanes are numbered because equal tags are served in the order in which the lanes opened.
        heap = [(lane.tag, number, lane.step, iter(lane.items)) for number, lane in enumerate(self._lanes.values())]
        heapq.heapify(heap)
        served: list[Item] = []
        while heap:
            tag, number, step, items = heap[0]
            item = next(items, None)
            if item is None:
                heapq.heappop(heap)
            else:
                served.append(item)
                heapq.heapreplace(heap, (tag + step, number, step, items))
        return served

    def _next(self) -> tuple[Key, _Lane[Item]]:
        return min(self._lanes.items(), key=lambda entry: entry[1].tag)

    def _tidy(self, key: Key, lane: _Lane[Item]) -> None:
        if not lane.items:
            del self._lanes[key]
            self._left[key] = lane.tag
        if not self._lanes:
            self._left.clear()
            self._tag = 0.0
        elif self._left:
            self._left = {other: tag for other, tag in self._left.items() if tag > self._tag}

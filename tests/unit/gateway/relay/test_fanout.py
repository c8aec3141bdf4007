"""Whose turn it is: slices between two turns of the loop, and streams that take turns.

Invariant under test: never more than SLICE listeners in one turn of the loop, nobody waits for ever, and a crowd that
is small is not held up by one that is large. It must not know what serving means.
"""

import asyncio
from collections.abc import Callable

from gateway.relay.fanout import SLICE, TURN, FanOut
from tests.support.relay import within


class Loop:
    """Turns of an event loop that are taken by hand."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


class Crowd:
    """So many who wait; each service is noted in a log that is shared."""

    def __init__(self, name: str, waiting: int, log: list[tuple[str, int]]) -> None:
        self.name = name
        self.waiting = waiting
        self.log = log

    @property
    def waits(self) -> bool:
        return self.waiting > 0

    def serve(self, most: int) -> int:
        served = min(most, self.waiting)
        self.waiting -= served
        self.log.append((self.name, served))
        return served


def place() -> tuple[FanOut, Loop, list[tuple[str, int]]]:
    loop = Loop()
    return FanOut(loop.call_soon), loop, []


def test_a_small_crowd_is_served_at_once() -> None:
    """In the call itself, and the turn that follows finds nothing to do."""
    fan_out, loop, log = place()
    fan_out.add(Crowd("a", 10, log))
    assert log == [("a", 10)]
    loop.turn()
    assert (log, loop.soon) == ([("a", 10)], [])


def test_a_large_crowd_is_cut_into_slices() -> None:
    """The first at once, one in each turn of the loop after it, until nobody waits."""
    fan_out, loop, log = place()
    crowd = Crowd("a", 3 * SLICE + 1, log)
    fan_out.add(crowd)
    assert crowd.waiting == 2 * SLICE + 1
    loop.turn()
    assert crowd.waiting == SLICE + 1
    loop.turn()
    assert crowd.waiting == 1
    loop.turn()
    assert (crowd.waiting, loop.soon) == (0, [])


def test_many_streams_share_what_one_turn_has() -> None:
    """Audio for many streams that comes in one turn of the loop is not more work for it than one large stream."""
    fan_out, loop, log = place()
    crowds = [Crowd(str(number), SLICE // 2, log) for number in range(6)]
    for crowd in crowds:
        fan_out.add(crowd)
    assert sum(size for _, size in log) == SLICE
    for turn in range(2, 4):
        loop.turn()
        assert sum(size for _, size in log) == turn * SLICE
    assert not any(crowd.waits for crowd in crowds)


def test_a_small_crowd_does_not_wait_for_a_large_one() -> None:
    """It comes after one TURN of each that waits, not behind all of them."""
    fan_out, loop, log = place()
    fan_out.add(Crowd("large", 10 * SLICE, log))
    fan_out.add(Crowd("small", 5, log))
    assert log == [("large", SLICE)]
    loop.turn()
    assert log[1:3] == [("large", TURN), ("small", 5)]
    assert sum(size for _, size in log[1:]) == SLICE


def test_a_crowd_without_anybody_is_no_trouble() -> None:
    """Nothing is scheduled again for it."""
    fan_out, loop, log = place()
    fan_out.add(Crowd("a", 0, log))
    loop.turn()
    assert loop.soon == []


async def test_idle_waits_for_those_who_wait() -> None:
    """It returns at once when nobody does, and else when the last has been served; on the loop that runs."""
    fan_out, log = FanOut(), []
    await within(fan_out.idle())
    crowd = Crowd("a", 5 * SLICE, log)
    fan_out.add(crowd)
    waiting = [asyncio.create_task(fan_out.idle()) for _ in range(2)]
    await within(fan_out.idle())
    assert not crowd.waits
    for task in waiting:
        await within(task)

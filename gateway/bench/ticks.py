"""How late a loop is: a timer of a millisecond, and by how much it comes too late each time.

    python -m gateway.bench.ticks SECONDS

prints them as JSON, of a loop that does nothing else: what a busy machine alone makes of a loop.
Invariant: lateness is by a clock finer than the loop's own, which may count whole milliseconds.
It must not know what else the loop does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

TICK = 0.001
T = TypeVar("T")


async def ticks(seconds: float) -> list[float]:
    """Seconds by which each timer was late, for so many seconds."""
    late: list[float] = []
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        await asyncio.sleep(TICK)
        then = time.perf_counter()
        late.append(max(0.0, then - now - TICK))
        now = then
    return late


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs it on uvloop where that is, as the gateway does."""
    return _runner()(main)


def _runner() -> Callable[[Coroutine[Any, Any, T]], T]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    print(json.dumps([round(late, 6) for late in run_loop(ticks(float(sys.argv[1])))]))  # noqa: T201 - what it is for

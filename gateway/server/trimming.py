"""Memory that this process has no use for, given back to the system.

Sound comes and goes in pieces of some kilobytes, between others that stay: glibc keeps their pages, and in weeks a
gateway would come to hold what its busiest hours needed, over the mark past which it takes nothing new.
Invariant: the loop waits for nothing. What is free now may have been in use the last time, with as many pages held: so
it is given back each time, which costs a thousandth of a processor at most. It must not know what was kept there.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

SECONDS = 10.0
# <malloc.h>: with these set glibc does not raise the second by itself, up to 32 MiB, after which whole songs lie among
# small pieces for good; and threads share two heaps, not sixteen. A busy gateway grew by half as much.
_SETTINGS = {-1: 128 << 10, -3: 128 << 10, -8: 2}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX


def keep_apart() -> None:
    """Once, at the start: what is large has pages of its own, which go back at once. Nothing where glibc is not."""
    for setting, value in _SETTINGS.items():
        _glibc("mallopt", setting, value)


def trim() -> None:
    """Gives back every page that is free: 2 to 5 ms for some 10 MiB, beside the loop. Nothing where glibc is not."""
    _glibc("malloc_trim", 0)


async def run(free: Callable[[], None] = trim) -> None:
    """Gives back what is free, for ever."""
    while True:
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(free)


def _glibc(name: str, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    # Another libc has no such function; under a hardened kernel ctypes may have no place for its own code.
    with suppress(ImportError, OSError, AttributeError, MemoryError):
        _function(name)(*arguments)


@cache
def _function(name: str) -> Callable[..., int]:
    import ctypes

    found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    return found

"""Memory that this process has no use for, given back to the system.

Sound comes and goes in pieces of some kilobytes, between others that stay: glibc keeps their pages, and in weeks a
gateway would come to hold what its busiest hours needed, over the mark past which it takes nothing new.
Invariant: the loop waits for nothing, and nothing is asked of the system unless more memory is held than before.
It must not know what was kept there.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

SECONDS = 10.0
# Held more than after the last time; below that there is too little to be given back.
MORE_BYTES = 4 << 20
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


def _glibc(function: str, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    # Another libc has no such function; under a hardened kernel ctypes may have no place for its own code.
    with suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        getattr(ctypes.CDLL(None), function)(*arguments)


class Trimming:
    """`resident` tells how much memory the process holds."""

    def __init__(self, resident: Callable[[], int], free: Callable[[], None] = trim) -> None:
        self._resident = resident
        self._free = free
        self._held = 0

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.look()

    async def look(self) -> None:
        """Gives back what is free, if there is more than the last time."""
        if self._resident() >= self._held + MORE_BYTES:
            await asyncio.to_thread(self._free)
            self._held = self._resident()

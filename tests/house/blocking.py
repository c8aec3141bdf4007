"""Blocking calls inside the loop: what our code may not do there.

Invariant: only calls that come through our packages count; a test's own code may read a file.
It must not decide which test is excused: that is the test's mark, with its reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from blockbuster import BlockBuster

from tests.house.tree import PACKAGES


@contextmanager
def blocking_calls_fail() -> Iterator[None]:
    """While this is open, a blocking call that our code makes inside a running loop raises `BlockingError`."""
    watch = _watch()
    watch.activate()
    try:
        yield
    finally:
        watch.deactivate()


@cache
def _watch() -> BlockBuster:
    """Made once: thousands of tests open it, and to make it takes longer than many a test."""
    watch = BlockBuster(list(PACKAGES))
    # Coverage takes a lock of its own, in whatever line it sees a file for the first time, while a thread of ours runs.
    watch.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
    return watch

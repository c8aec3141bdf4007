"""Leaks: what stays is named, what is about to end is waited for.

Invariant: each test ends itself what it lets leak.
It must not depend on the leak check that surrounds it.
"""

import asyncio
import threading

from tests.house.leaks import leaked_tasks, leaked_threads


async def test_a_task_that_stays_is_named() -> None:
    """A task that waits for ever is named by what it runs."""
    forgotten = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    assert await leaked_tasks(grace=0.01) == ["task forgotten in Event.wait"]
    forgotten.cancel()


async def test_a_task_that_ends_is_no_leak() -> None:
    """A task that needs a few more turns of the loop is given them."""
    done = asyncio.Event()
    closing = asyncio.create_task(done.wait())
    asyncio.get_running_loop().call_later(0.01, done.set)
    assert await leaked_tasks() == []
    assert closing.done()


def test_a_thread_that_stays_is_named() -> None:
    """A thread that keeps the interpreter alive is named; a daemon and an old one are not."""
    release = threading.Event()
    old, new, daemon = (
        threading.Thread(target=release.wait, args=(30,), name=name, daemon=name == "daemon")
        for name in ("old", "new", "daemon")
    )
    old.start()
    before = threading.enumerate()
    new.start()
    daemon.start()
    try:
        assert leaked_threads(before, grace=0.01) == ["thread new"]
    finally:
        release.set()
    assert leaked_threads(before) == []
    for thread in (old, daemon):
        thread.join(30)

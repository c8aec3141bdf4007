"""What a test may not leave behind: a running task, or a thread that keeps the interpreter alive.

Invariant: what is about to end gets a bounded time to do so, and what is left is named by what it runs.
It must not end anything itself: the owner that forgot to is what the test shall show.
"""

import asyncio
import threading
import time
from collections.abc import Iterable

GRACE = 2.0  # seconds; a connection that is being closed needs a few turns of the loop, an executor its join


async def leaked_tasks(grace: float = GRACE) -> list[str]:
    """The tasks of the running loop, beside the caller's, that do not end within `grace` seconds."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if not others:
        return []
    _, pending = await asyncio.wait(others, timeout=grace)
    return sorted(f"task {task.get_name()} in {_where(task)}" for task in pending)


def leaked_threads(before: Iterable[threading.Thread], grace: float = GRACE) -> list[str]:
    """The non-daemon threads that were not there `before` and do not end within `grace` seconds together."""
    deadline = time.monotonic() + grace
    new = [thread for thread in threading.enumerate() if not thread.daemon and thread not in set(before)]
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(f"thread {thread.name}" for thread in new if thread.is_alive())


def _where(task: asyncio.Task[object]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", repr(coroutine))

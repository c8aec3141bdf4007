"""What a test may not leave behind: a running task, an open socket, or a thread that keeps the interpreter alive.

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


async def leaked_sockets(grace: float = GRACE) -> list[str]:
    """What the running loop still has open or listens to, and does not close within `grace` seconds.

    Left alone, it is found when it is collected, which may be in another test. It is the loop of asyncio that is asked:
    uvloop has no such list, but cannot be closed with anything open, so the test's time runs out.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    while True:
        left = _open(loop)
        if not left or loop.time() >= deadline:
            return left
        await asyncio.sleep(0.01)


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


def _open(loop: asyncio.AbstractEventLoop) -> list[str]:
    """By its ends, or, where it has none, by what the loop would call when something comes."""
    left = []
    known = {loop._ssock.fileno()} if hasattr(loop, "_ssock") else set()  # by which a loop wakes itself
    for transport in list(getattr(loop, "_transports", {}).values()):
        if (descriptor := transport.get_extra_info("socket").fileno()) != -1:
            known.add(descriptor)
            ends = (transport.get_extra_info(end) for end in ("sockname", "peername"))
            left.append("socket " + " to ".join(map(str, ends)))
    if selector := getattr(loop, "_selector", None):
        for key in list(selector.get_map().values()):
            if key.fd not in known:
                handles = [handle for handle in key.data if handle]
                left.append(f"watch over {', '.join(handle._callback.__qualname__ for handle in handles)}")
    return sorted(left)

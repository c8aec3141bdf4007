"""A watch over workers whose loops hang: they are alive, answer nobody, and would keep their listeners waiting.

Invariant: only one that has answered before, and then nothing for all of the time, is killed; its place has the next.
It must not know how a worker is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from gateway.log import event
from gateway.workers.supervisor import logger
from gateway.workers.worker import Worker

# How often each is asked within that time.
ASKED = 4


async def watch(
    workers: Callable[[], Iterable[Worker]],
    answers: Callable[[Worker], Awaitable[bool]],
    seconds: float,
    now: Callable[[], float],
) -> None:
    """For ever: kills who has not answered for so many seconds."""
    heard: dict[Worker, float] = {}
    while True:
        await asyncio.sleep(seconds / ASKED)
        asked = [worker for worker in workers() if worker.ready.is_set() and not worker.leaving.is_set()]
        found = await asyncio.gather(*(answers(worker) for worker in asked))
        heard = {
            worker: now() if there else heard.get(worker, now()) for worker, there in zip(asked, found, strict=True)
        }
        for worker, at in heard.items():
            if now() - at >= seconds:
                event(logger, "worker.hung", worker=worker.number, pid=worker.pid)
                worker.kill()

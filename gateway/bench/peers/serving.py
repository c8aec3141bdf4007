"""What the Python peers have in common: they open a door, say so, and send a message at each beat until they are told.

    python -m gateway.bench.peers.PEER SIZE PERIOD

says `ready PORT`. Invariant: peers differ in nothing but their fan-out. It must not know how one fans out.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.bench.peers.message import Messages
from gateway.bench.peers.pace import Pace
from gateway.bench.ticks import run_loop

BACKLOG = 4096  # connections that may wait to be accepted, when very many come at once


class Fanout(Protocol):
    """One way to send a message to everybody who is there."""

    async def open(self) -> int:
        """Lets clients in, and gives the port."""

    def send(self, message: bytes) -> None:
        """Sends it to everybody, without waiting."""

    async def close(self) -> None:
        """Closes the door."""


async def serve(fanout: Fanout, messages: Messages, pace: Callable[[], Pace], say: Callable[[str], None]) -> None:
    """Sends until the process is told to end."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    say(f"ready {await fanout.open()}")
    seq, beat = 0, pace()
    try:
        while True:
            await asyncio.sleep(beat.left())
            fanout.send(messages.message(seq))
            seq += 1
    except asyncio.CancelledError:
        await fanout.close()


def main(fanout: Fanout, arguments: Sequence[str]) -> None:
    """The process, until it is told to end."""
    size, period = int(arguments[0]), float(arguments[1])
    messages = Messages(size, period)
    run_loop(serve(fanout, messages, lambda: Pace(period, time.monotonic), _say))


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - whoever has started this waits for it

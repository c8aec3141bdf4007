"""Workers without processes: they are ready, leave and end when a test says so.

Invariant: to places and supervisors they are workers; none leaves a task behind once it has ended.
It must not know what is tested.
"""

import asyncio
import signal

from gateway.workers.worker import Worker


class FakeWorker(Worker):
    """`told` are the signals that it was sent. It ends at SIGKILL, and by `end`."""

    def __init__(self, number: int = 1, *, ready: bool = True, internal: str = "http://127.0.0.1:1") -> None:
        super().__init__(number)
        self.told: list[str] = []
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.create_task(self._finish())
        if ready:
            self.settle(internal)

    def settle(self, internal: str = "http://127.0.0.1:1") -> None:
        """It serves."""
        self.public, self.internal, self.ready_at = f"http://{self.number}", internal, self._clock()
        self.ready.set()

    def end(self, code: int = 0) -> None:
        if not self.code.done():
            self.code.set_result(code)

    async def _finish(self) -> int:
        code = await self.code
        self.leaving.set()
        return code

    def stop(self) -> None:
        self.told.append("stop")
        super().stop()

    def _signal(self, number: signal.Signals) -> None:
        self.told.append(number.name)
        if number is signal.SIGKILL:
            self.end(-number)

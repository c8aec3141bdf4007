"""A way to a real server that loses what a test wants lost: a question, an answer, or all that is sent.

Invariant: of what it loses the answer, the server has done it; of what it loses the question, it has not even heard.
It must not know what is asked, nor why.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.errors import ServiceError
from gateway.redis.connection import Redis, Value
from gateway.redis.script import Script

# Longer than a busy machine takes for an answer.
DEADLINE = 20.0


class Line(Redis):
    """`cut` loses everything."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=DEADLINE)
        self.url = url
        self.cut = False
        self.lose(None)

    def lose(self, number: int | None, *, answer: bool = True) -> None:
        """Loses what is number `number`, from 0, of what is sent from now on: the answer, or else the question."""
        self.sent, self.lost, self.loses_answers = 0, number, answer

    async def call(self, *command: Value) -> Any:
        return await self._sent(lambda: super(Line, self).call(*command))

    async def run(self, script: Script, keys: Sequence[Value] = (), args: Sequence[Value] = ()) -> Any:
        return await self._sent(lambda: super(Line, self).run(script, keys, args))

    async def _sent(self, send: Callable[[], Awaitable[Any]]) -> Any:
        losing = self.sent == self.lost
        self.sent += 1
        if self.cut or (losing and not self.loses_answers):
            raise _silence()
        answer = await send()
        if losing:
            raise _silence()
        return answer


def _silence() -> ServiceError:
    return ServiceError("cluster_unavailable", "Nobody answers.", retry_after=1.0)

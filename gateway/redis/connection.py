"""One gateway's connection to Redis or Valkey: a bounded pool, a deadline for every answer, scripts, and its health.

Invariant: every call ends within the timeout, with an answer or as `cluster_unavailable`; whatever the server or the
line does, no other error leaves here, and nothing is sent twice by itself, since nobody knows what the first did.
Away and back again are each logged once. It must not know what is kept there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import NoScriptError, RedisError

from gateway import __version__
from gateway.errors import ServiceError
from gateway.log import event as log_event
from gateway.redis.script import Script

logger = logging.getLogger("wavegate.redis")

Value = bytes | str | int | float
Command = Sequence[Value]

# As many commands may be on their way at once; more wait for their turn, within the same deadline.
MOST_CONNECTIONS = 16
RETRY_SECONDS = 1.0


class Redis:
    """Used as `async with Redis(url) as redis:`. Answers are bytes, never decoded.

    Raises ValueError for what is no address, without what stands in it. `timeout` in seconds is for each call as a
    whole, connecting included; `now` is monotonic. `took` is told how many seconds each answer took, but for those that
    were to wait.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 2.0,
        now: Callable[[], float] = time.monotonic,
        took: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._took = took
        self._timeout = timeout
        self._now = now
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            timeout=timeout,
            socket_connect_timeout=timeout,
            socket_timeout=None,  # the deadline is ours; a blocking read has another
            retry=Retry(NoBackoff(), 0),
            # Else each new connection looks its version up on the disk, in the loop.
            driver_info=DriverInfo(name="wavegate", lib_version=__version__),
        )
        try:
            self._pool.connection_class(**self._pool.connection_kwargs)  # it opens nothing yet
        except TypeError:
            raise ValueError("a parameter of the address is none that is known") from None
        self._client = Client(connection_pool=self._pool)
        self._away_since: float | None = None
        self._back: list[Callable[[], None]] = []

    async def __aenter__(self) -> "Redis":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets its connections go; a second call does nothing."""
        await self._client.aclose()
        await self._pool.aclose()

    @property
    def away(self) -> bool:
        """Whether the last call got no answer."""
        return self._away_since is not None

    def when_back(self, call: Callable[[], None]) -> None:
        """Has this called, in the loop, each time it answers again after it was away."""
        self._back.append(call)

    async def call(self, *command: Value) -> Any:
        """The answer to one command. Raises ServiceError `cluster_unavailable`."""
        return await self._within(self._timeout, lambda: self._ask(*command))

    async def wait(self, seconds: float, *command: Value) -> Any:
        """As `call`, for a command that itself waits for up to so many seconds."""
        return await self._within(seconds + self._timeout, lambda: self._ask(*command))

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to these commands, sent in one go; other clients' may come between. Raises as `call` does."""

        async def send() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute()
            return answers

        return await self._within(self._timeout, send) if commands else []

    async def run(self, script: Script, keys: Sequence[Value] = (), args: Sequence[Value] = ()) -> Any:
        """What the script gives: one step, between which and another nothing happens. Raises as `call` does."""

        async def evaluate() -> Any:
            try:
                return await self._ask("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                # It did not run. The server is new, or has forgotten its scripts.
                return await self._ask("EVAL", script.text, len(keys), *keys, *args)

        return await self._within(self._timeout, evaluate)

    async def _ask(self, *command: Value) -> Any:
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # it has no types

    async def _within(self, seconds: float, send: Callable[[], Any]) -> Any:
        begin = self._now()
        try:
            async with asyncio.timeout(seconds):
                answer = await send()
        except (RedisError, OSError, TimeoutError) as error:
            self._gone(error)
            if isinstance(error, Broken):
                await self._forget_idle()
            sentence = "The store that this gateway's nodes share does not answer: try again in a moment."
            raise ServiceError("cluster_unavailable", sentence, retry_after=RETRY_SECONDS) from error
        self._there()
        if seconds == self._timeout:
            self._took(self._now() - begin)
        return answer

    async def _forget_idle(self) -> None:
        """What broke one connection has broken those that lie idle: each would refuse one more call once it is back."""
        with suppress(RedisError, OSError, TimeoutError):
            await self._pool.disconnect(inuse_connections=False)

    def _gone(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = self._now()
            # Its text may hold the address, and that a password.
            log_event(logger, "redis.away", reason=type(error).__name__)

    def _there(self) -> None:
        if self._away_since is not None:
            seconds = self._now() - self._away_since
            self._away_since = None
            log_event(logger, "redis.back", after_seconds=round(seconds, 3))
            for call in self._back:
                call()

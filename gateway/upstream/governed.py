"""Songs bought with patience: a source's generations, each in its turn and tried again where that costs nothing.

Invariant: every try holds a permit of its own and no permit is held while waiting for the next one; after the first
sound there is no other try; whoever leaves, at whatever point, leaves nothing behind. The generation as a whole has a
bound in time, as each wait in it has. It must not know keys, HTTP, or who listens.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Protocol

from gateway.errors import UpstreamError
from gateway.log import event as log_event
from gateway.model import Accepted, AudioDelta, Finished, GenerationRequest, SourceEvent, TenantId, TriedAgain
from gateway.upstream.body import soon, until
from gateway.upstream.governor import Governor
from gateway.upstream.keys import KeyRefusedError
from gateway.upstream.retry import RetryPolicy
from gateway.upstream.turn import Turn
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.upstream")


class Generations(Protocol):
    """What is governed: one call to the provider for each `open`."""

    def open(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[SourceEvent]]: ...


class GovernedSource:
    """Generations of `inner`, admitted by `governor` and tried again by `policy`, each within `timeout` seconds."""

    def __init__(
        self,
        inner: Generations,
        governor: Governor,
        policy: RetryPolicy,
        recorder: Recorder,
        *,
        timeout: float,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._governor = governor
        self._policy = policy
        self._recorder = recorder
        self._timeout = timeout
        self._now = now
        self._chance = chance

    @asynccontextmanager
    async def open(self, request: GenerationRequest, tenant: TenantId) -> AsyncIterator[AsyncIterator[SourceEvent]]:
        """One generation, asked for with the first event. It ends with Finished, else with UpstreamError.

        Queued comes while it has to wait, also before another try. Accepted comes again when another try has another
        name at the provider: the newest counts; TriedAgain comes before each that is counted.
        """
        async with aclosing(self._told(request, tenant)) as events:
            yield events

    async def _told(self, request: GenerationRequest, tenant: TenantId) -> AsyncGenerator[SourceEvent]:
        attempt = 1
        began = deadline = waited = 0.0
        within: float | None = None  # what is left of our patience; None until the first try has begun
        accepted: Accepted | None = None
        while True:
            heard = False
            asked = self._now()
            async with self._governor.admission(tenant, again=within is not None, within=within) as turn:
                async for queued in turn:
                    yield queued
                waited += self._now() - asked
                if within is None:
                    began, deadline = self._now(), soon(self._timeout)
                try:
                    async with aclosing(self._tried(request, turn, deadline)) as events:
                        async for event in events:
                            heard = heard or isinstance(event, AudioDelta)
                            if event == accepted:
                                continue
                            if isinstance(event, Accepted):
                                accepted = event = replace(event, waited_seconds=waited)
                            yield event
                    return
                except UpstreamError as error:
                    failure = error.again()
            elapsed = self._now() - began
            delay = self._next_try(failure, attempt, elapsed, heard)
            if delay is None:
                raise failure.again()
            another_key = isinstance(failure, KeyRefusedError)
            attempt += not another_key
            self._recorder.upstream_retry()
            log_event(
                logger,
                "upstream.retried",
                tenant=tenant,
                code=failure.code,
                provider_request_id=failure.request_id,
                tries=attempt,
                in_seconds=round(delay, 3),
            )
            if not another_key:
                yield TriedAgain(attempt)
            await asyncio.sleep(delay)
            within = max(0.0, self._policy.seconds - elapsed - delay)

    async def _tried(self, request: GenerationRequest, turn: Turn, deadline: float) -> AsyncGenerator[SourceEvent]:
        """One call's events, none of them waited for beyond the deadline; the governor hears how it goes."""
        try:
            async with self._inner.open(request) as events:
                while True:
                    async with until(deadline, f"took more than {self._timeout:g} seconds for one song"):
                        event = await anext(events, None)
                    if event is None:
                        return
                    if isinstance(event, AudioDelta):
                        turn.heard()
                    elif isinstance(event, Finished):
                        turn.finished()
                    yield event
        except UpstreamError as error:
            turn.failed(error)
            raise

    def _next_try(self, failure: UpstreamError, attempt: int, elapsed: float, heard: bool) -> float | None:
        if isinstance(failure, KeyRefusedError):
            # Another key is tried at once. There are only so many, since each that is refused is set aside.
            return 0.0 if elapsed <= self._policy.seconds else None
        return self._policy.may_retry(failure, attempt, elapsed, heard, chance=self._chance())

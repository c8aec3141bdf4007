"""The provider's account, of which there is one: who may start now, by its rate, its concurrency and its pauses.

The port that the governor asks, and its form for a gateway of one process; account_redis.py has that for many nodes.
Invariant: a permit is an object in a set, from `take` to `give_back`, never a number that goes up and down; giving it
back twice frees nobody else's. It must not know tenants' queues beyond the one who is next, nor what a generation is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.config.schema import Upstream
from gateway.errors import WavegateError
from gateway.model import TenantId
from gateway.upstream.allowance import Allowance
from gateway.upstream.pace import Pace

# Loops have timers of a millisecond.
_SOONEST = 0.001


@dataclass(slots=True, eq=False)
class Permit:
    """One generation's; `era` is the account's when it was given out."""

    era: int


@dataclass(slots=True, frozen=True)
class Head:
    """Who is next of those who wait here: for how many seconds, with what weight, and how many wait in all."""

    tenant: TenantId
    weight: float
    seconds: float
    waiting: int


class Account(Protocol):
    """What the governor asks. No call waits; what changes later is told by the call that was bound."""

    @property
    def limit(self) -> int:
        """Permits there are, as far as is known."""
        ...

    @property
    def free(self) -> int:
        """Permits that nobody holds, as far as is known; below 0 when the limit has shrunk."""
        ...

    @property
    def gap(self) -> float:
        """Seconds from one start to the next."""
        ...

    def bind(self, changed: Callable[[], None], head: Callable[[], Head | None]) -> None:
        """`changed` is called when `take` may give something now, or what is told here has changed."""
        ...

    def refusal(self) -> WavegateError | None:
        """Why nobody can start and nobody should wait, if that is so; a new error at every call."""
        ...

    def take(self) -> Permit | None:
        """A permit, if one may start now. The caller starts now, or gives it back."""
        ...

    def give_back(self, permit: Permit) -> None:
        """It is over. A second call does nothing."""
        ...

    def expect(self, after: float | None) -> None:
        """Has `changed` called when one may start, but not before so many seconds from now; None: nobody waits."""
        ...

    def heard(self) -> None:
        """The provider has begun to sing for one of those out."""
        ...

    def throttled(self, era: int, pause: float) -> None:
        """A call of that era was refused for want of room: the limit shrinks, and all wait for so many seconds."""
        ...

    def closed_for(self) -> float:
        """Seconds until the next one may start, if there is room."""
        ...

    def place(self, position: int) -> int:
        """The place among all who wait for the account, of the one at this position of our own queue, from 1."""
        ...


class LocalAccount:
    """Implements `Account` for one process. `share` is the part of the account that is its own, as 1 of so many.

    `held` are the permits that count, which may have been given out elsewhere. `now` is monotonic seconds.
    """

    def __init__(
        self,
        config: Upstream,
        *,
        now: Callable[[], float] = time.monotonic,
        share: int = 1,
        most: int | None = None,
        held: set[Permit] | None = None,
    ) -> None:
        self._now = now
        self._pace = Pace(config.requests_per_minute / share)
        self._allowance = Allowance(max(1, (config.max_concurrency if most is None else most) // share))
        self._held: set[Permit] = set() if held is None else held
        self._paused_until = now()
        self._timer: asyncio.TimerHandle | None = None
        self._changed: Callable[[], None]

    @property
    def limit(self) -> int:
        """Permits there are."""
        return self._allowance.limit

    @property
    def free(self) -> int:
        """Permits that nobody holds."""
        return self._allowance.limit - len(self._held)

    @property
    def gap(self) -> float:
        """Seconds from one start to the next."""
        return self._pace.gap

    def bind(self, changed: Callable[[], None], head: Callable[[], Head | None]) -> None:
        """Who is next is not asked: it is a queue of its own, and no other is there to compare."""
        del head
        self._changed = changed

    def refusal(self) -> WavegateError | None:
        """None: it is always there."""
        return None

    def take(self) -> Permit | None:
        """A permit, if one may start now."""
        if self.free <= 0 or self.closed_for() > 0:
            return None
        permit = Permit(self._allowance.era)
        self._held.add(permit)
        self._pace.take(self._now())
        return permit

    def give_back(self, permit: Permit) -> None:
        """It is over."""
        self._held.discard(permit)

    def expect(self, after: float | None) -> None:
        """One timer, for the moment at which the next one could start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Without a free place nothing but an end or a growing limit helps, and both come through here.
        if after is not None and self.free > 0:
            delay = max(_SOONEST, self.closed_for(), after)
            self._timer = asyncio.get_running_loop().call_later(delay, self._changed)

    def heard(self) -> None:
        """A sign that there is room for as many as are out."""
        self._allowance.succeeded(len(self._held))

    def throttled(self, era: int, pause: float) -> None:
        """Once for all of an era."""
        self._allowance.throttled(len(self._held), era)
        self.pause(pause)

    def pause(self, seconds: float) -> None:
        """Nobody starts for so long."""
        self._paused_until = max(self._paused_until, self._now() + seconds)

    def closed_for(self) -> float:
        """By the pace and by what the provider says."""
        now = self._now()
        return max(self._pace.wait(now), self._paused_until - now, 0.0)

    def place(self, position: int) -> int:
        """Nobody waits anywhere else."""
        return position

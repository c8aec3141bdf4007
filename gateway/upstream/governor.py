"""The account's limits, kept for all tenants and keys of this process: who may start a generation, and when.

How much there is of rate and concurrency, the account knows (account.py); who of those waiting here gets it is decided
here, and so is whether the provider is well: each node finds that out by itself.
Invariant: a permit is a turn in a table, from its admission to the end of its `async with`, never a number that goes up
and down; whatever happens inside leaves nothing behind. There is no task per waiter: a wake-up for whoever's place has
changed, and for all when the account has changed.
It must not know what a generation is, nor retries, keys or sockets.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Queued, TenantId
from gateway.upstream.account import Account, Head, LocalAccount, Permit
from gateway.upstream.body import soon
from gateway.upstream.breaker import Circuit, CircuitBreaker
from gateway.upstream.fair_queue import FairQueue
from gateway.upstream.turn import Turn
from metrics.recorder import Recorder

# How long all wait when the provider says that it is too much: what it says itself, up to a minute, in which its
# limits recover; and a second when it says nothing, since it counts by the second, too.
_LONGEST_PAUSE = 60.0
_USUAL_PAUSE = 1.0
# What the last generation counts in the usual time that one takes.
_NEWEST = 0.2

# The provider is not well. Being full is not among these, nor what it says of a text or a key: then it is alive.
_FAILURES = frozenset(
    {
        "upstream_failed",
        "upstream_protocol",
        "upstream_interrupted",
        "upstream_unavailable",
        "upstream_timeout",
    }
)
# The provider is alive, and what it made of this text has no sound in it: it pauses whoever wrote it, and nobody else.
_OF_A_TEXT = frozenset({"upstream_empty"})
# Said by the provider, but also by this side before anything was sent: no news of the provider's health.
_NO_NEWS = frozenset({"upstream_refused"})


class Governor:
    """Admits generations within the account's rate, its concurrency as far as it is known, and fairly by tenant.

        async with governor.admission(tenant) as turn:
            async for queued in turn:  # nothing, when there is no need to wait
                ...  # news of the place in the queue
            ...  # admitted: call the provider and tell the turn how it went

    `weight` is how many generations of a tenant are admitted for one of a tenant of weight 1, while both wait.
    Without an `account` it has one of its own, of this process alone.
    """

    def __init__(
        self,
        config: Upstream,
        recorder: Recorder,
        *,
        account: Account | None = None,
        now: Callable[[], float] = time.monotonic,
        weight: Callable[[TenantId], float] = lambda _: 1.0,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._now = now
        self._weight = weight
        self._account: Account = LocalAccount(config, now=now) if account is None else account
        self._account.bind(self._admit, self._head)
        self._breaker = self._new_breaker()
        # Of tenants whose last songs were empty.
        self._own: dict[TenantId, CircuitBreaker] = {}
        self._queue: FairQueue[TenantId, Turn] = FairQueue(weight)
        # Who holds a permit, and since when.
        self._live: dict[Turn, tuple[Permit, float]] = {}
        self._probe: Turn | None = None
        self._usual_seconds: float | None = None
        self._announcing = False
        self.measure()

    def _new_breaker(self) -> CircuitBreaker:
        config = self._config
        return CircuitBreaker(
            failures=config.circuit_failures,
            open_seconds=config.circuit_seconds,
            probe_seconds=config.first_event_timeout,
        )

    @property
    def used(self) -> int:
        """Permits that are held here."""
        return len(self._live)

    @property
    def limit(self) -> int:
        """Permits there are, as far as is known."""
        return self._account.limit

    @property
    def waiting(self) -> int:
        """Turns that are not admitted yet."""
        return len(self._queue)

    def trouble(self) -> str | None:
        """Why no generation can be expected to start now, or None."""
        if self._account.refusal() is not None:
            return "upstream account not shared"
        return "upstream circuit open" if self._breaker.state(self._now()) is Circuit.OPEN else None

    def admission(self, tenant: TenantId, *, again: bool = False, within: float | None = None) -> Turn:
        """A turn to enter and to wait for. Entering and waiting raise what the account refuses with, and UpstreamError:

        `upstream_busy` when too many wait already or the wait took more than `within` seconds (by default
        max_queue_seconds), `upstream_unavailable` while the circuit is open. With `again`, for another try of what was
        admitted before, the turn is the next of its tenant and waits for the circuit.
        """
        longest = self._config.max_queue_seconds
        return Turn(self, tenant, again=again, patience=longest if within is None else min(longest, within))

    # -- what turns tell -------------------------------------------------------------------------------------------

    def join(self, turn: Turn) -> None:
        """Lets the turn wait, which may be over at once. Raises UpstreamError when it may not even wait."""
        now = self._now()
        if (refusal := self._account.refusal()) is not None:
            raise refusal
        if not turn.again and self._breaker.state(now) is Circuit.OPEN:
            raise UpstreamError(
                "upstream_unavailable",
                "The provider has failed several times in a row and is given a pause. Try again later.",
                retry_after=self._breaker.wait(now),
            )
        own = self._own.get(turn.tenant)
        if not turn.again and own is not None and own.state(now) is Circuit.OPEN:
            raise UpstreamError(
                "upstream_unavailable",
                "The last songs of this tenant came without any sound, one after another: try again later.",
                retry_after=own.wait(now),
            )
        config = self._config
        if len(self._queue) >= config.max_queue or self._queue.waiting(turn.tenant) >= config.max_queue_per_tenant:
            raise self.busy("Too many generations are waiting for the provider already. Try again later.")
        self._queue.push(turn.tenant, turn, first=turn.again)
        self._admit()

    def leave(self, turn: Turn) -> None:
        """Takes the turn out, wherever it is. A second call does nothing."""
        held = self._live.pop(turn, None)
        if held is not None:
            permit, since = held
            self._account.give_back(permit)
            if turn is self._probe:
                self._probe = None
                self._breaker.abandoned()
            if turn.well is not False:
                seconds = self._now() - since
                usual = seconds if self._usual_seconds is None else self._usual_seconds
                self._usual_seconds = usual + _NEWEST * (seconds - usual)
        elif not self._queue.remove(turn.tenant, turn):
            return
        self._admit()

    def heard(self, turn: Turn) -> None:
        """The provider has begun to sing: it has room for this one, and is alive."""
        self._own.pop(turn.tenant, None)
        self._account.heard()
        if turn is self._probe:
            self._probe = None
            self._breaker.succeeded(self._now())
        self._admit()

    def finished(self) -> None:
        """A generation has gone well to its end."""
        self._breaker.succeeded(self._now())

    def failed(self, turn: Turn, error: UpstreamError) -> None:
        """A generation has ended in this error."""
        now = self._now()
        if error.code in _NO_NEWS:
            return
        if turn is self._probe:
            self._probe = None
        if error.code in _OF_A_TEXT:
            self._own.setdefault(turn.tenant, self._new_breaker()).failed(now)
        if error.code in _FAILURES:
            self._breaker.failed(now)
        else:
            self._breaker.succeeded(now)
        if error.code == "upstream_busy":
            pause = _USUAL_PAUSE if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE)
            self._account.throttled(turn.era, pause)
        self._admit()

    def busy(self, sentence: str) -> UpstreamError:
        """What is said to one who cannot wait here (any longer): come back when about a quarter has moved on."""
        seconds = self._eta(max(1, len(self._queue) // 4), self._now())
        return UpstreamError("upstream_busy", sentence, retry_after=max(1.0, seconds if seconds is not None else 30.0))

    # -- the gate --------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Admits whoever may start now, and sees to it that the rest is looked at when that can have changed."""
        now = self._now()
        while self._queue and (refusal := self._account.refusal()) is not None:
            self._queue.pop().refuse(refusal)
        # The breaker is asked first and told last: its word for a probe is good for one, who must then be there.
        while self._queue and self._breaker.wait(now) <= 0 and (permit := self._account.take()) is not None:
            self._breaker.allow(now)
            turn = self._queue.pop()
            if self._breaker.state(now) is Circuit.HALF_OPEN:
                self._probe = turn
            self._live[turn] = permit, now
            self._recorder.upstream_waited(soon(0) - turn.entered)
            turn.admit(permit.era)
        self.measure()
        self._account.expect(self._breaker.wait(now) if self._queue else None)
        if self._queue and not self._announcing:
            # Once for all that happens in this step of the loop: a burst of arrivals is told in one go.
            self._announcing = True
            asyncio.get_running_loop().call_soon(self._announce)

    def _head(self) -> Head | None:
        """Who would be admitted next, for an account that others wait for, too."""
        if not self._queue:
            return None
        tenant, turn = self._queue.head()
        return Head(tenant, self._weight(tenant), soon(0) - turn.entered, len(self._queue))

    # -- what the waiting are told ---------------------------------------------------------------------------------

    def _announce(self) -> None:
        self._announcing = False
        now = self._now()
        for own, turn in enumerate(self._queue.order(), start=1):
            position = self._account.place(own)
            turn.tell(Queued(position, self._eta(position, now)))

    def _eta(self, position: int, now: float) -> float | None:
        """Seconds until this position is admitted, from the pace and the time that generations took lately."""
        account = self._account
        seconds = max(account.closed_for() + (position - 1) * account.gap, self._breaker.wait(now))
        if (beyond := position - max(0, account.free)) > 0:
            if self._usual_seconds is None:
                return None
            # Not the rate of admissions itself: after a quiet hour it would promise the next place in an hour.
            seconds = max(seconds, beyond * self._usual_seconds / account.limit)
        return round(seconds, 1)

    def measure(self) -> None:
        """Tells the metrics how it is now: a circuit is half open again when nothing happens, too."""
        self._recorder.upstream_concurrency(len(self._live), self._account.limit)
        self._recorder.upstream_queue(len(self._queue))
        self._recorder.upstream_circuit(is_open=self._breaker.state(self._now()) is Circuit.OPEN)

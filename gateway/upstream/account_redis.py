"""The provider's account, shared through Redis by all nodes of a gateway.

One task speaks for the node: it says all that the node holds, has heard and waits for when that has changed, three
times a lease, and some times a second while somebody waits here. One script answers (account.lua).
Invariant: nobody starts without a permit from there, or alone on a share of the account; a node that dies gives its
permits back within a lease; every wait is bounded, and a store that has lost everything is told it all again.
It must not know tenants' queues beyond the one who is next, nor what a generation is.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from gateway.config.schema import Upstream
from gateway.errors import ServiceError, WavegateError
from gateway.log import event
from gateway.redis.connection import Redis
from gateway.upstream.account import Head, LocalAccount, Permit
from gateway.upstream.account_word import KEYS, NODES, SCRIPT, Answer, Memory, Terms, Verdict, answer, words
from gateway.upstream.pace import Pace

logger = logging.getLogger("wavegate.upstream")

# Until a node that is gone has given its permits back. All nodes speak three times in it.
LEASE_SECONDS = 10.0
# Between two looks of a node at which somebody waits, while there is no room.
LOOK_SECONDS = 0.05
# How long those who wait, wait on when the store does not answer: a restart of it is no reason to send them away.
PATIENCE_SECONDS = 3.0
AGAIN_SECONDS = 0.25
_MOST_VERDICTS = 64


class SharedAccount:
    """Implements `Account`: `async with SharedAccount(redis, node, config) as account`; `Governor(account=account)`.

    `node` is a name that is new at every start. When the store is away, nobody new starts: whoever waits is refused
    with `cluster_unavailable` after `patience` seconds, and whoever comes then, at once. With `alone` the node goes on
    with its share of the account, by the number of nodes there were when the store was last heard.
    """

    def __init__(
        self,
        redis: Redis,
        node: str,
        config: Upstream,
        *,
        alone: bool = False,
        lease: float = LEASE_SECONDS,
        look: float = LOOK_SECONDS,
        patience: float = PATIENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._config = config
        self._may_go_alone = alone
        self._patience = patience
        self._now = now
        self._gap = Pace(config.requests_per_minute).gap
        self._terms = Terms(node, config.max_concurrency, self._gap, lease, look)
        self._held: set[Permit] = set()
        self._in_hand: Permit | None = None
        # When one of those who wait here may start for all that is known here; None: nobody waits.
        self._expected_at: float | None = None
        # Whether the store was told that somebody waits here.
        self._told = False
        # What the provider has said since the last word, and when.
        self._verdicts: list[tuple[Verdict, float]] = []
        # A node of the same name that has started again is not taken for one that is late.
        self._number = round(time.time() * 1000)
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        most = config.max_concurrency
        self._last = Answer(False, 0.0, 0.0, most, str(most).encode(), 0, 0, b"", 1, ())
        self._opens = self._paused_until = now()
        self._last_start: float | None = None
        self._away_since: float | None = None
        self._local: LocalAccount | None = None
        self._changed: Callable[[], None] = lambda: None
        self._head: Callable[[], Head | None] = lambda: None

    async def __aenter__(self) -> "SharedAccount":
        self._task = asyncio.create_task(self._speak(), name="provider account")
        return self

    async def __aexit__(self, *error: object) -> None:
        """The other nodes need not wait for the lease."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._local is not None:
            self._local.expect(None)
        if self._away_since is None:
            # Else its lease ends by itself.
            with suppress(ServiceError):
                await self._redis.call("HDEL", NODES, self._terms.node)

    # -- what the governor asks ------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Permits there are for all nodes, or for this one while it is alone."""
        return self._last.limit if self._local is None else self._local.limit

    @property
    def free(self) -> int:
        """Permits that no node held when the store was last heard."""
        return self._last.limit - self._last.used if self._local is None else self._local.free

    @property
    def gap(self) -> float:
        """Seconds from one start to the next."""
        return self._gap if self._local is None else self._local.gap

    def bind(self, changed: Callable[[], None], head: Callable[[], Head | None]) -> None:
        """Whoever is next is asked for with every word."""
        self._changed = changed
        self._head = head

    def refusal(self) -> WavegateError | None:
        """After some patience with a store that does not answer, where this node may not go on alone."""
        since = self._away_since
        if since is None or self._local is not None or self._now() - since < self._patience:
            return None
        sentence = "This gateway's nodes cannot agree on who may start a generation: try again in a moment."
        return ServiceError("cluster_unavailable", sentence, retry_after=max(1.0, self._patience))

    def take(self) -> Permit | None:
        """The permit that the store has given for whoever is next here."""
        if self._local is not None:
            permit = self._local.take()
        else:
            permit, self._in_hand = self._in_hand, None
            if permit is not None:
                self._held.add(permit)
        if permit is not None:
            self._last_start = self._now()
        return permit

    def give_back(self, permit: Permit) -> None:
        """The other nodes hear of it at once."""
        self._held.discard(permit)
        self._news.set()

    def expect(self, after: float | None) -> None:
        """The task speaks for those who wait; it is told at once when that begins, ends or is due earlier."""
        if self._local is not None:
            self._local.expect(after)
        was, self._expected_at = self._expected_at, None if after is None else self._now() + after
        asks = after is not None and after <= 0
        if asks != self._told or (self._expected_at is not None and (was is None or self._expected_at < was)):
            self._news.set()

    def heard(self) -> None:
        """A sign that there is room for as many as are out."""
        self._say(Verdict(len(self._held)))
        if self._local is not None:
            self._local.heard()

    def throttled(self, era: int, pause: float) -> None:
        """Once for all of an era, on whatever nodes they were."""
        self._say(Verdict(len(self._held), era, pause))
        self._paused_until = max(self._paused_until, self._now() + pause)
        if self._local is not None:
            self._local.throttled(era, pause)

    def closed_for(self) -> float:
        """By what the store said last, and by what was heard here since."""
        if self._local is not None:
            return self._local.closed_for()
        now = self._now()
        return max(self._opens - now, self._paused_until - now, 0.0)

    def place(self, position: int) -> int:
        """As if the nodes at which somebody waits took turns."""
        if self._local is not None:
            return position
        return position + sum(min(waiting, position) for waiting in self._last.elsewhere)

    # -- what the node says ----------------------------------------------------------------------------------------

    def _say(self, verdict: Verdict) -> None:
        self._verdicts.append((verdict, self._now()))
        del self._verdicts[:-_MOST_VERDICTS]
        self._news.set()

    async def _speak(self) -> None:
        while True:
            self._news.clear()
            try:
                seconds = await self._word()
            except Exception:
                # Whatever it was, the node's permits are to be told again: else its lease would end.
                event(logger, "upstream.account_untold", exc_info=True)
                seconds = AGAIN_SECONDS
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                pass  # It is time for the next word.

    async def _word(self) -> float:
        """Says it all, and takes what is given. Gives seconds until it is to be said again, if nothing changes."""
        verdicts, self._verdicts = self._verdicts, []
        self._number += 1
        now = self._now()
        head = self._head() if self._expected_at is not None and self._expected_at <= now else None
        self._told = head is not None
        started = None if self._last_start is None else now - self._last_start
        pause, last = max(0.0, self._paused_until - now), self._last
        memory = Memory(last.birth, last.exact, last.era, started, self._local is not None, pause)
        # A pause began when it was heard of.
        said = [Verdict(one.held, one.era, max(0.0, one.pause - (now - at))) for one, at in verdicts]
        try:
            args = words(self._terms, self._number, len(self._held), head, memory, said)
            told = answer(await self._redis.run(SCRIPT, KEYS, args))
        except ServiceError:
            told = None
        if told is None:
            self._verdicts[:0] = verdicts
            self._gone(now)
            return AGAIN_SECONDS
        self._told = head is not None and head.waiting > told.given
        self._hear(told)
        most = self._terms.lease / 3
        if self._expected_at is None:
            return most
        return min(most, max(told.again if self._told else 0.0, self._expected_at - self._now()))

    def _hear(self, told: Answer) -> None:
        """Takes what is given and passes it on."""
        last, self._last = self._last, told
        was_away, self._away_since = self._away_since is not None, None
        now = self._now()
        was_closed, self._opens = self._opens > now, now + told.closed
        if self._local is not None:
            self._local.expect(None)
            self._local = None
        # Not if the provider has said meanwhile that it is full. What is not counted next time is given back.
        full = any(verdict.era is not None for verdict, _ in self._verdicts)
        self._in_hand = Permit(told.era) if told.given and not full else None
        closed = told.closed > 0
        if told.given or was_away or (last.limit, last.elsewhere, was_closed) != (told.limit, told.elsewhere, closed):
            self._changed()
        if told.given and (full or self._in_hand is not None):
            # Nobody is there any more, or nobody may try the provider just now.
            self._in_hand = None
            self._news.set()

    def _gone(self, asked: float) -> None:
        """Nothing was heard in answer."""
        if self._away_since is None:
            self._away_since = asked
        if self._may_go_alone and self._local is None:
            last, now = self._last, self._now()
            local = LocalAccount(self._config, now=self._now, share=last.nodes, most=last.limit, held=self._held)
            local.bind(self._changed, self._head)
            # Another node may have had the last start that there was room for.
            local.pause(max(local.gap, self._paused_until - now))
            self._local = local
        # Those who wait are told, or let in.
        self._changed()

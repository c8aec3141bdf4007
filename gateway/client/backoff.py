"""When to come back after a connection broke: full jitter, the gateway's own wishes, and an end to patience.

Full jitter (a random part of an exponentially growing time) because thousands of listeners lose the same gateway at
the same moment. Invariant: an outage is bounded in attempts and in seconds, however friendly the gateway's answers are.
It must not know connections: time and randomness come in from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.client.ending import Ending, Move
from gateway.client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an interrupted song is tried for. Times in seconds.

    The nth attempt waits a random part of `base * 2**n`, at most `cap`, on top of what the gateway asked for. A
    connection that lasted `cap` seconds or brought sound ends the outage.
    """

    base: float = 0.25
    cap: float = 10.0
    attempts: int = 15
    seconds: float = 120.0


class BackOff:
    """One song's patience; `jitter` gives numbers from 0 to 1, `now` monotonic seconds."""

    def __init__(self, patience: Patience, jitter: Callable[[], float], now: Callable[[], float]) -> None:
        self.patience = patience
        self._jitter = jitter
        self._now = now
        self._attempts = 0
        self._since: float | None = None

    def recovered(self) -> None:
        """The outage is over."""
        self._attempts = 0
        self._since = None

    def delay(self, ending: Ending) -> float:
        """Seconds to wait before the next attempt. Raises ClientError when there shall be none."""
        if ending.move is Move.STOP:
            raise ending.error() from ending
        if self._since is None:
            self._since = self._now()
        delay = ending.retry_after or 0.0
        if not self._straight_back(ending):
            delay += self._jitter() * min(self.patience.cap, self.patience.base * 2**self._attempts)
        waited = self._now() - self._since
        if self._attempts >= self.patience.attempts or waited + delay > self.patience.seconds:
            raise self._exhausted(ending, waited) from ending
        self._attempts += 1
        return delay

    def _straight_back(self, ending: Ending) -> bool:
        """The first attempt adds no jitter where the gateway said when to come; a second one must not spin."""
        if self._attempts > 0:
            return False
        return ending.move is Move.AT_ONCE or (ending.move is Move.AS_TOLD and ending.retry_after is not None)

    def _exhausted(self, ending: Ending, waited: float) -> ClientError:
        if self._attempts == 0:
            return ending.error()
        tried = f"Tried {self._attempts} times in {waited:.0f} s to reach the gateway again, in vain."
        return ending.error().adding(tried, retryable=True)

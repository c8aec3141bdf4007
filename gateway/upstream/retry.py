"""Whether a generation that failed is tried again, and when: arithmetic on time and one random number.

Invariant: nothing is tried again once a byte of its sound was heard, because a second try is another song and is
billed again; nor beyond a number of tries and a time. What may have been billed although nothing was heard is tried
again at most once. It must not wait, and must not know sockets, queues or who listens.
"""

from dataclasses import dataclass

from gateway.errors import UpstreamError

# With these the provider has not begun. Any other failure may have cost money already, or will come back anyhow.
_NOTHING_BEGUN = frozenset({"upstream_busy", "upstream_unavailable"})
# Beyond this many doublings a wait is as good as its cap, and a float has no room for the power.
_MOST_DOUBLINGS = 60


def backoff(attempt: int, chance: float, *, base: float, cap: float) -> float:
    """Seconds to wait after try number `attempt` (from 1): any time up to base, 2 base, 4 base ... but at most `cap`.

    `chance` is from 0 to 1. The whole range is used ("full jitter"), so that many who failed together do not come
    back together.
    """
    return float(chance * min(cap, base * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Patience: at most `attempts` further tries, the last of them begun within `seconds` of the first one's begin."""

    attempts: int
    seconds: float
    base: float = 1.0
    cap: float = 20.0

    def may_retry(
        self, error: UpstreamError, attempt: int, elapsed: float, heard_audio: bool, *, chance: float
    ) -> float | None:
        """Seconds to wait before the next try, or None when this failure is the last word.

        `attempt` is the number of the try that failed, from 1; `elapsed` is seconds since the first one began. The
        provider's own Retry-After is kept in full: when it reaches beyond our patience there is no further try.
        """
        if heard_audio or not error.handling.retryable or attempt > self.attempts:
            return None
        if attempt > 1 and error.code not in _NOTHING_BEGUN:
            return None
        delay = backoff(attempt, chance, base=self.base, cap=self.cap) + max(0.0, error.retry_after or 0.0)
        return delay if elapsed + delay <= self.seconds else None

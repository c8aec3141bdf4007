"""Why a listener is there no more, in the words of the metrics.

Invariant: pure; every way in which a listener can go has one word, and `lost`, `slow` and `failed` are those of which
nobody can say that they were meant. It must not know listeners or connections.
"""

from gateway.errors import AccessError, LimitError, WavegateError
from gateway.relay.outcome import Outcome

COMPLETED, LEFT, LOST, SLOW, FAILED, MOVED, REFUSED = (
    "completed",
    "left",
    "lost",
    "slow",
    "failed",
    "moved",
    "refused",
)
# Who hears one of these comes back at once, to here or to another node, and goes on where it was.
_ELSEWHERE = frozenset({"going_away", "owner_lost", "credentials_expired"})


def at_the_end(outcome: Outcome) -> str:
    """Of one that has heard all there is of a song."""
    if outcome.error is None or outcome.soft or outcome.error.code == "cancelled":
        return COMPLETED
    return sent_away(outcome.error)


def sent_away(error: WavegateError) -> str:
    """Of one that is told this in place of the rest."""
    if error.code == "too_slow":
        return SLOW
    if error.code in _ELSEWHERE:
        return MOVED
    return REFUSED if isinstance(error, AccessError | LimitError) else FAILED

"""Tests of the words for why a listener is there no more.

Invariant under test: every error there is has a word of the metrics' list, and what is nobody's wish is told apart.
It must not know listeners.
"""

import pytest

from gateway.errors import HANDLING, AccessError, LimitError, RequestError, ServiceError, UpstreamError, WavegateError
from gateway.model import StreamId
from gateway.relay import departure
from gateway.relay.departure import at_the_end, sent_away
from gateway.relay.outcome import Bill, Outcome
from metrics.labels import DEPARTURE


@pytest.mark.parametrize(
    ("error", "word", "ended"),
    [
        (LimitError("too_slow", "."), "slow", "slow"),
        (ServiceError("going_away", "."), "moved", "moved"),
        (ServiceError("owner_lost", "."), "moved", "moved"),
        (AccessError("credentials_expired", "."), "moved", "moved"),
        (AccessError("bad_credentials", "."), "refused", "refused"),
        (LimitError("rate_exceeded", "."), "refused", "refused"),
        (LimitError("quota_exceeded", "."), "refused", "completed"),
        (RequestError("cancelled", "."), "failed", "completed"),
        (UpstreamError("upstream_failed", "."), "failed", "failed"),
        (ServiceError("internal", "."), "failed", "failed"),
        (None, None, "completed"),
    ],
)
def test_each_way_has_its_word(error: WavegateError | None, word: str | None, ended: str) -> None:
    """Of one that is sent away, and of one whose song ended so: a budget's end and a cancel are the end of a song."""
    assert at_the_end(Outcome(StreamId("st"), error, 1.0, 1, 1, "", Bill(1.0, settled=True))) == ended
    if error is not None:
        assert sent_away(error) == word


def test_every_word_is_in_the_metrics_list() -> None:
    """And every error there is gives one of them."""
    words = {value for name, value in vars(departure).items() if name.isupper() and isinstance(value, str)}
    assert words == set(DEPARTURE.values)
    assert {sent_away(WavegateError(code, ".")) for code in HANDLING} <= words

"""Tests of what is remembered of a log that was given up.

Invariant under test: each chunk that was retained, and the one that was to come, has its moment; nothing else has.
It must not know how a log is given up.
"""

from gateway.relay.past import Past
from tests.support.relay import grow, new_channel, open_channel


def test_moments_outlive_the_audio() -> None:
    """They are those of the channel, and the audio itself may be gone."""
    channel = open_channel(max_bytes=300)
    grow(channel, 10)
    moments = [channel.moment(seq) for seq in range(12)]
    past = Past.of(channel)
    channel.forget()
    assert [past.moment(seq) for seq in range(12)] == moments
    assert moments[6:] == [None, 0.7, 0.8, 0.9, 1.0, None]


def test_a_log_that_never_opened_has_one_moment() -> None:
    """Its beginning."""
    past = Past.of(new_channel())
    assert (past.moment(0), past.moment(1)) == (0.0, None)

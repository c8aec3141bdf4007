"""The numbers of a song that follow from other numbers.

Invariant under test: what cannot be known yet is None, not zero.
Nothing is heard here: the numbers are given.
"""

from gateway.client.statistics import Statistics


def test_rates_follow_from_what_was_measured() -> None:
    """Bit rate is over sound, speed over time."""
    numbers = Statistics(elapsed=2.0, seconds=8.0, bytes=256_000)
    assert numbers.bit_rate == 256_000
    assert numbers.speed == 4.0


def test_nothing_is_claimed_before_it_can_be_known() -> None:
    """Without sound there is no rate, and within the first second no speed."""
    assert Statistics().bit_rate is None
    assert Statistics(elapsed=0.9, seconds=8.0).speed is None

"""Tests of what the relay is driven by.

Invariant under test: clocks that are not given are those of the machine, and each gateway has turns of its own.
It must not know what is measured.
"""

import time

from gateway.relay.instruments import Instruments
from metrics.recorder import Recorder


def test_clocks_and_turns_come_by_themselves() -> None:
    """Only the metrics have to be given."""
    one, other = Instruments(Recorder()), Instruments(Recorder())
    assert one.now() <= time.monotonic() <= one.now()
    assert abs(one.time() - time.time()) < 5.0
    assert one.fan_out is not other.fan_out

"""What the relay measures with and is driven by: metrics, two clocks, and the turns of the event loop.

Invariant: one for each gateway, handed down; nothing in the relay reads a clock of its own.
It must not know streams or listeners.
"""

import time as clocks
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.relay.fanout import FanOut
from gateway.relay.ports import Traces
from metrics.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Instruments:
    """`now` is a monotonic clock and `time` the time of day, both in seconds; `fan_out` has one for all streams;
    `traces` is None where nobody wants any.
    """

    recorder: Recorder
    now: Callable[[], float] = clocks.monotonic
    time: Callable[[], float] = clocks.time
    fan_out: FanOut = field(default_factory=FanOut)
    traces: Traces | None = None

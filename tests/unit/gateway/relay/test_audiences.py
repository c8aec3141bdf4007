"""Tests of who may listen: places that are held, limits that count who is there, and the bytes of a day.

Invariant under test: never one more than the limit, nothing bought for which there is no place, and nobody who is sent
anything after the day's bytes are known to be used up. It must not know streams.
"""

import pytest

from gateway.accounting import Budget, Remaining
from gateway.config.schema import Limits
from gateway.errors import LimitError, ServiceError
from gateway.relay.audiences import AT_ONCE, Audiences
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener
from metrics.recorder import Recorder
from tests.support.relay import TENANT, Clock, Pipe, ScriptedLedger, listen, new_channel

NONE = Budget(0, 0.0)


class House:
    """Audiences of one tenant with these limits, and all its listeners in one channel."""

    def __init__(self, **limits: int) -> None:
        self.limits = Limits(**limits)
        self.ledger = ScriptedLedger()
        self.recorder = Recorder()
        self.clock = Clock(100.0)
        self.channel = new_channel()
        instruments = Instruments(self.recorder, self.clock, self.clock)
        self.elsewhere = 0
        self.audiences = Audiences(self.ledger, lambda _: self.limits, instruments, lambda _: self.elsewhere)

    def come(self, pipe: Pipe | None = None) -> Listener:
        self.audiences.check(TENANT)
        listener = listen(self.channel, pipe or Pipe())
        self.audiences.enter(TENANT, listener, None)
        return listener

    def sent(self, egress: float) -> None:
        limit = self.limits.egress_bytes_per_day
        self.ledger.left = Remaining(NONE, NONE, NONE, Budget(limit, egress, resets_at=160.0))

    def rejected(self, reason: str) -> float | None:
        labels = {"tenant": TENANT, "reason": reason}
        return self.recorder.registry.get_sample_value("wavegate_quota_rejections_total", labels)


def refused(house: House) -> LimitError:
    with pytest.raises(LimitError) as refusal:
        house.audiences.check(TENANT)
    return refusal.value


def test_a_place_that_is_held_counts_until_it_is_taken_or_given_up() -> None:
    """Of two places one is held and one taken, and there is no third; what was held becomes a listener's own."""
    house = House(listeners=2)
    with house.audiences.place(TENANT) as place:
        first = house.come()
        assert refused(house).code == "concurrency_exceeded"
        with pytest.raises(LimitError), house.audiences.place(TENANT):
            pass
        second = listen(house.channel, Pipe())
        house.audiences.enter(TENANT, second, place)
        refused(house)
    refused(house)
    assert house.rejected("listeners") == 4
    house.audiences.leave(TENANT, second)
    house.audiences.leave(TENANT, second)
    with house.audiences.place(TENANT):
        refused(house)
    house.come()
    house.audiences.leave(TENANT, first)
    house.come()


def test_those_on_other_nodes_count() -> None:
    """As far as was said of them; each node says how many it has, and no tenant that it has none of."""
    house = House(listeners=3)
    listener = house.come()
    house.elsewhere = 1
    with house.audiences.place(TENANT):
        assert house.audiences.sizes == {TENANT: 2}
        assert refused(house).code == "concurrency_exceeded"
    house.come()
    refused(house)
    house.elsewhere = 0
    house.audiences.leave(TENANT, listener)
    house.audiences.leave(TENANT, house.come())
    house.limits = Limits(listeners=0)
    house.elsewhere = 1000
    house.come()


async def test_when_the_bytes_of_a_day_are_used_up_nobody_hears_on() -> None:
    """Everybody is told which budget it is and when it begins anew, nobody else comes, and then they may again."""
    house = House(egress_bytes_per_day=1000, listeners=0)
    pipes = [Pipe() for _ in range(2 * AT_ONCE + 3)]
    for pipe in pipes:
        house.come(pipe)
    house.sent(999.0)
    with house.audiences.place(TENANT):
        await house.audiences.look()
        assert not any(("refused", "quota_exceeded") in pipe.said for pipe in pipes)
        house.sent(1000.0)
        await house.audiences.look()
    assert all(pipe.said[-1] == ("refused", "quota_exceeded") for pipe in pipes)
    assert not house.channel.listeners
    refusal = refused(house)
    assert (refusal.code, refusal.retry_after) == ("quota_exceeded", 60.0)
    assert house.rejected("egress") == 1
    house.sent(0.0)
    await house.audiences.look()
    house.come()


async def test_a_limit_that_is_lifted_holds_at_once() -> None:
    """After a reload without it nobody is asked about bytes, and the tenant's listeners may come."""
    house = House(egress_bytes_per_day=1000)
    house.sent(2000.0)
    house.come()
    await house.audiences.look()
    refused(house)
    house.limits = Limits()
    house.ledger.fault = ServiceError("ledger_unavailable", "Away.")
    await house.audiences.look()
    house.come()
    house.limits = Limits(egress_bytes_per_day=1000)
    with pytest.raises(ServiceError):
        await house.audiences.look()


async def test_who_has_gone_again_was_sent_bytes_all_the_same() -> None:
    """Between two looks a whole song can be fetched: its bytes are found out though nobody is there any more."""
    house = House(egress_bytes_per_day=1000)
    house.audiences.leave(TENANT, house.come())
    house.sent(1000.0)
    house.ledger.fault = ServiceError("ledger_unavailable", "Away.")
    with pytest.raises(ServiceError):
        await house.audiences.look()
    house.ledger.fault = None
    await house.audiences.look()
    assert refused(house).code == "quota_exceeded"


async def test_small_parts_are_bytes_too() -> None:
    """Whoever is no listener is looked at, and refused, like those who are."""
    house = House(egress_bytes_per_day=1000, listeners=1)
    house.come()
    house.audiences.check_bytes(TENANT)
    house.sent(1000.0)
    await house.audiences.look()
    with pytest.raises(LimitError):
        house.audiences.check_bytes(TENANT)
    assert house.rejected("egress") == 1

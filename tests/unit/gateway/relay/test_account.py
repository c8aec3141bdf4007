"""Tests of a generation's side of the ledger.

Invariant under test: what is granted is asked for in time and never exceeded, a bill is not lost when the ledger is
away, and a ledger in trouble stops nobody who has begun. It must not know what a song is.
"""

import asyncio
import logging

import pytest

from gateway.accounting import Settlement
from gateway.errors import LimitError, ServiceError
from gateway.model import Status
from gateway.relay.account import MARGIN_SECONDS, MORE_SECONDS, Account
from tests.support.relay import RENDITION, ScriptedLedger, within

ID = RENDITION.stream_id
WHOLE = Settlement(Status.COMPLETED, 3.0, 3.5)


def opened(granted: float = 60.0, budget: float = 1000.0, fade_seconds: float = 0.0) -> tuple[Account, ScriptedLedger]:
    ledger = ScriptedLedger(granted, budget)
    return Account(ledger, ID, granted, fade_seconds), ledger


async def test_more_is_asked_for_before_it_is_needed() -> None:
    """When the margin is reached and not before; then it is enough again for a while."""
    account, ledger = opened()
    await account.cover(60.0 - MARGIN_SECONDS)
    assert (account.granted, ledger.budget) == (60.0, 1000.0)
    await account.cover(60.1 - MARGIN_SECONDS)
    assert (account.granted, ledger.budget) == (60.0 + MORE_SECONDS, 1000.0 - MORE_SECONDS)
    await account.cover(61.0)
    assert account.granted == 60.0 + MORE_SECONDS


async def test_a_budget_is_used_up_to_its_end() -> None:
    """What is left of it is granted; when that is used up, the reason is raised, and raised again."""
    account, _ = opened(budget=12.0)
    await account.cover(55.0)
    assert account.granted == 72.0
    await account.cover(71.9)
    for received in (72.0, 73.0):
        with pytest.raises(LimitError) as ended:
            await account.cover(received)
        assert ended.value.code == "quota_exceeded"


class Purse:
    """An allowance of which `left` is not set aside yet."""

    def __init__(self, taken: float, left: float) -> None:
        self.taken = taken
        self.left = left

    async def more(self, seconds: float) -> float:
        given = min(seconds, self.left)
        if not given:
            raise LimitError("quota_exceeded", "Nothing is left.")
        self.left -= given
        self.taken += given
        return given


async def test_an_allowance_ends_a_song_before_the_budget_does() -> None:
    """Fewer seconds are granted than the ledger has reserved, if fewer are set aside; then what is left of them."""
    ledger, purse = ScriptedLedger(60.0, 1000.0), Purse(20.0, 5.0)
    account = Account(ledger, ID, 60.0, allowance=purse)
    assert account.granted == 20.0
    await account.cover(15.0)
    assert (account.granted, ledger.budget) == (25.0, 1000.0), "what is reserved already is not reserved again"
    await account.cover(24.0)
    with pytest.raises(LimitError) as ended:
        await account.cover(25.0)
    assert ended.value.code == "quota_exceeded"


async def test_an_allowance_is_lifted_for_who_has_more() -> None:
    """Also when it is used up already; the tenant's own budget holds on, and there may have been no allowance."""
    account = Account(ScriptedLedger(60.0, 1000.0), ID, 60.0, allowance=Purse(20.0, 0.0))
    await account.cover(15.0)
    account.lift()
    await account.cover(20.0)
    assert account.granted == 50.0
    account, _ = opened(budget=0.0)
    await account.cover(59.0)
    account.lift()
    with pytest.raises(LimitError):
        await account.cover(60.0)


async def test_what_is_set_aside_is_used_before_more_is_taken() -> None:
    """Of a song that others were shorter than."""
    purse = Purse(45.0, 100.0)
    account = Account(ScriptedLedger(30.0, 1000.0), ID, 30.0, allowance=purse)
    await account.cover(25.0)
    assert (account.granted, purse.left) == (45.0, 100.0)
    await account.cover(40.0)
    assert (account.granted, purse.left) == (75.0, 70.0)


async def test_where_to_fade_out_is_known_when_there_will_be_no_more() -> None:
    """And not before; nowhere for a song that just stops."""
    account, _ = opened(budget=0.0, fade_seconds=3.0)
    assert account.fade is None
    await account.cover(59.0)
    assert account.fade == (57.0, 60.0)
    account, _ = opened(budget=0.0)
    await account.cover(59.0)
    assert account.fade is None


@pytest.mark.parametrize("trouble", [ServiceError("overloaded", "Away."), OSError("the disk is full")])
async def test_a_ledger_in_trouble_stops_nobody(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked again after a while; what went wrong stands in the log, once for each time."""
    account, ledger = opened()
    ledger.fault = trouble
    with caplog.at_level(logging.ERROR):
        await account.begin("r-1")
        await account.cover(100.0)
        await account.cover(100.0)
        await account.renew(100.0)
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    ledger.fault = None
    account._again_at = 0.0
    await account.cover(101.0)
    assert account.granted == 60.0 + MORE_SECONDS


async def test_a_slow_ledger_delays_no_song(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was granted is heard meanwhile; when that is used up it is waited for once, and then no more."""
    monkeypatch.setattr("gateway.relay.account.QUICK_SECONDS", 0.0)
    monkeypatch.setattr("gateway.relay.account.HOLD_SECONDS", 0.01)
    account, ledger = opened()
    ledger.hold = asyncio.Event()
    await within(account.begin("r-1"))
    for received in (55.0, 59.0, 60.0, 61.0):
        await within(account.cover(received))
    assert (account.granted, ledger.begun) == (60.0, [])
    ledger.hold.set()
    assert await within(account.settle(WHOLE))
    assert (account.granted, ledger.begun) == (60.0 + MORE_SECONDS, [(ID, "r-1")])


async def test_an_answer_that_comes_late_still_ends_the_song(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sound that comes after it."""
    monkeypatch.setattr("gateway.relay.account.QUICK_SECONDS", 0.0)
    monkeypatch.setattr("gateway.relay.account.HOLD_SECONDS", 0.0)
    account, ledger = opened(budget=0.0)
    ledger.hold = asyncio.Event()
    await within(account.cover(61.0))
    asking = account._asking
    ledger.hold.set()
    await within(account._finish(asking))
    assert account._asking is None
    with pytest.raises(LimitError):
        await account.cover(61.5)


async def test_a_lease_that_is_lost_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The song goes on."""
    account, ledger = opened()
    await account.renew(1.0)
    assert caplog.records == []
    ledger.lost = True
    await account.renew(2.0)
    assert "ledger.lease_lost" in caplog.text
    assert ledger.renewed == [ID, ID]


async def test_the_providers_name_for_it_is_handed_on() -> None:
    """None where it has none."""
    account, ledger = opened()
    await account.begin("r-1")
    await account.begin("")
    assert ledger.begun == [(ID, "r-1"), (ID, None)]


async def test_a_bill_that_was_not_taken_is_kept() -> None:
    """Until the ledger is back; what it has taken is not offered again."""
    account, ledger = opened()
    ledger.fault = OSError("the disk is full")
    assert not await account.settle(WHOLE)
    assert account.unsettled == WHOLE
    assert not await account.settle_again()
    ledger.fault = None
    assert await account.settle_again()
    assert (account.unsettled, ledger.settlements) == (None, [WHOLE] * 3)
    assert await account.settle_again()
    assert len(ledger.settlements) == 3


async def test_a_ledger_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than it may take."""
    monkeypatch.setattr("gateway.relay.account.PATIENCE_SECONDS", 0.01)
    account, ledger = opened()
    ledger.hold = asyncio.Event()
    assert not await within(account.settle(WHOLE))
    assert account.unsettled == WHOLE

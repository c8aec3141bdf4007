"""The uses of tickets in memory: what the port's own suite cannot see from outside.

Invariant under test: what is remembered is bounded by time and by number, and a full memory grants nothing. It must not
know how a ticket looks.
"""

import asyncio

import pytest

from gateway.errors import ServiceError
from gateway.quota.uses import KEEP_SECONDS, MemoryUses
from gateway.quota.uses_sqlite import ANSWER_SECONDS
from gateway.server.signing import LEEWAY_SECONDS
from tests.support.relay import Clock

END = 2000.0


async def test_a_single_use_a_thousand_times_over() -> None:
    """Each of a thousand tickets, at which 20 pull at once: one has it."""
    uses = MemoryUses(now=Clock())
    for number in range(1000):
        ticket = number.to_bytes(16, "big")
        answers = await asyncio.gather(*(uses.spend(ticket, 1, END) for _ in range(20)))
        assert answers.count(True) == 1


async def test_memory_forgets_with_time() -> None:
    """A ticket goes when its time is over, however many there are, and the young ones stay."""
    clock = Clock(1000.0)
    uses = MemoryUses(now=clock)
    for number in range(100):
        assert await uses.spend(number.to_bytes(16, "big"), 1, 1000.0 + number)
    assert len(uses) == 100
    clock.at = 1000.0 + KEEP_SECONDS + 49.0
    assert not await uses.spend(bytes(16), 1, 1000.0)
    assert len(uses) == 50


async def test_a_full_memory_grants_nothing_new() -> None:
    """It says when to come back; those it knows are counted on, and room comes with time."""
    clock = Clock(1000.0)
    uses = MemoryUses(now=clock, most=2)
    assert await uses.spend(b"a", 2, 1000.0)
    assert await uses.take(b"b", 1.0, 2.0, 1100.0)
    for refused in (uses.spend(b"c", 1, END), uses.take(b"c", 1.0, 2.0, END)):
        with pytest.raises(ServiceError) as error:
            await refused
        assert (error.value.code, error.value.retry_after) == ("overloaded", 1.0)
    assert await uses.spend(b"a", 2, 1000.0)
    assert not await uses.spend(b"a", 2, 1000.0)
    clock.at = 1000.0 + KEEP_SECONDS
    assert await uses.spend(b"c", 1, END)


def test_what_is_remembered_outlives_what_is_believed() -> None:
    """The leeway of a ticket and the longest wait for an answer are over before it may be forgotten."""
    assert LEEWAY_SECONDS + ANSWER_SECONDS < KEEP_SECONDS

"""The watch over workers that hang: who answers lives, who does not is killed when its time is over.

Invariant under test: one that starts or leaves is given its time, and one late answer forgives all before it.
It must not know how a worker is asked: here they answer when a test says so.
"""

import asyncio
import logging

import pytest

from gateway.workers.watchdog import ASKED, watch
from gateway.workers.worker import Worker
from tests.support.relay import Clock
from tests.support.server import soon
from tests.support.workers import FakeWorker


async def test_who_answers_nothing_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """Behind its time, and nobody else is: not one that answers, that is not ready, or that leaves."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    hung, lively, young, leaving = (FakeWorker(number, ready=number != 3) for number in range(1, 5))
    leaving.leaving.set()
    rounds = 0
    answering = {hung, lively}

    async def answers(worker: Worker) -> bool:
        nonlocal rounds
        assert worker in (hung, lively)
        rounds += worker is hung
        return worker in answering

    everybody = [hung, lively, young, leaving]
    watching = asyncio.create_task(watch(lambda: everybody, answers, 0.02 * ASKED, clock))

    async def turn(seconds: float) -> None:
        clock.at += seconds
        before = rounds
        await soon(lambda: rounds >= before + 2)

    limit = 0.02 * ASKED
    await turn(0.0)
    answering.discard(hung)
    await turn(0.4 * limit)
    await turn(0.5 * limit)
    assert hung.told == []
    answering.add(hung)
    await turn(0.0)
    answering.discard(hung)
    await turn(0.9 * limit)
    assert hung.told == []
    clock.at += 2 * limit
    await soon(lambda: "SIGKILL" in hung.told)
    assert [worker.told for worker in (lively, young, leaving)] == [[], [], []]
    assert caplog.records[0].getMessage() == "worker.hung"
    watching.cancel()
    for worker in everybody:
        worker.end()
    await asyncio.wait([watching, *(worker.ended for worker in everybody)])

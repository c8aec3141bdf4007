"""A turn at the governor's: its news, its end, and that it is told about once.

Invariant under test: only the newest news are kept, an admission is seen before the end of patience, and verdicts reach
the governor as they are meant. The governor here is one that writes down what it hears.
"""

import asyncio

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import Queued, TenantId
from gateway.upstream.turn import Turn
from tests.support.governor import steps


class Gatekeeper:
    """Lets nobody in by itself; `said` is what turns told it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def join(self, turn: Turn) -> None:
        self.said.append(f"join {turn.tenant}")

    def leave(self, turn: Turn) -> None:
        self.said.append(f"leave {turn.tenant}")

    def heard(self, turn: Turn) -> None:
        self.said.append(f"heard {turn.tenant}")

    def finished(self) -> None:
        self.said.append("finished")

    def failed(self, turn: Turn, error: UpstreamError) -> None:
        self.said.append(f"failed {turn.tenant} {error.code}")

    def busy(self, sentence: str) -> UpstreamError:
        return UpstreamError("upstream_busy", sentence)


def turn(patience: float = 5.0) -> tuple[Turn, Gatekeeper]:
    gate = Gatekeeper()
    return Turn(gate, TenantId("a"), again=False, patience=patience), gate


async def test_news_that_nobody_fetched_are_replaced() -> None:
    """Who comes late hears the newest alone, and nothing twice."""
    one, _ = turn()
    async with one, asyncio.timeout(5):
        one.tell(Queued(3, None))
        one.tell(Queued(2, 5.0))
        assert await anext(one) == Queued(2, 5.0)
        later = asyncio.ensure_future(anext(one))
        await steps()
        one.tell(Queued(2, 5.0))
        await steps()
        assert not later.done()
        one.tell(Queued(1, 5.0))
        one.tell(Queued(1, 4.0))
        assert await later == Queued(1, 4.0)


async def test_an_admission_ends_the_news() -> None:
    """From then on there are none, also none that came before it; the era is kept."""
    one, gate = turn()
    async with one:
        one.tell(Queued(1, None))
        one.admit(7)
        assert [news async for news in one] == []
    assert one.era == 7
    assert gate.said == ["join a", "leave a"]


async def test_an_admission_in_the_last_moment_counts() -> None:
    """A turn that was admitted when its patience had just ended is admitted."""
    one, _ = turn(patience=5.0)
    async with one, asyncio.timeout(5):
        waiting = asyncio.ensure_future(anext(one, None))
        await steps()
        one.admit(0)
        one._deadline = 0.0
        assert await waiting is None


async def test_patience_ends() -> None:
    """Without an admission the wait ends in the governor's error, and the turn is given back."""
    one, gate = turn(patience=0.01)
    with pytest.raises(UpstreamError, match="no room"):
        async with one, asyncio.timeout(5):
            await anext(one)
    assert gate.said == ["join a", "leave a"]


async def test_a_refusal_ends_the_wait() -> None:
    """Whoever waits hears why, and the turn is given back; who has been told their place before hears nothing else."""
    one, gate = turn()
    async with one, asyncio.timeout(5):
        one.tell(Queued(1, None))
        assert await anext(one) == Queued(1, None)
        later = asyncio.ensure_future(anext(one))
        await steps()
        one.refuse(ServiceError("cluster_unavailable", "Not now."))
        with pytest.raises(ServiceError, match="Not now"):
            await later
    assert gate.said == ["join a", "leave a"]


async def test_verdicts_reach_the_governor() -> None:
    """The first sound is told once; a failure makes the turn one that did not go well."""
    one, gate = turn()
    async with one:
        one.heard()
        one.heard()
        assert one.well is True
        one.finished()
        one.failed(UpstreamError("upstream_failed", "Broken."))
        assert one.well is False
    assert gate.said == ["join a", "heard a", "finished", "failed a upstream_failed", "leave a"]

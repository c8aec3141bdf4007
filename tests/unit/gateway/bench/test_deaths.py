"""What is made of lives and deaths: a bill that is lost, changed or bought twice is counted.

Invariant under test: what was told is held against what is there.
It must not judge the gateway: test_money does.
"""

import asyncio
import random
from typing import Any

import pytest

from gateway.bench import deaths as module
from gateway.bench.deaths import Lives, dead_rows

TOLD = {"settled": 1.0, "status": "completed", "key": "song-1"}


class Ledger:
    """The part of a server that is asked."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = list(rows)

    async def usage(self) -> list[dict[str, Any]]:
        return self._rows


def compared(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], *rows: dict[str, Any]) -> Lives:
    async def ordered(*_: object) -> tuple[int, dict[str, Any]]:
        return answer[0], {"id": answer[1]}

    monkeypatch.setattr(module, "_order", ordered)
    lives: Any = Lives(settled={"st_1": TOLD})
    server: Any = Ledger(*rows)
    http: Any = None
    asyncio.run(module._compare(lives, server, http, random.Random(1)))
    found: Lives = lives
    return found


def row(stream_id: str, settled: float = 1.0, status: str = "completed") -> dict[str, Any]:
    return {"stream_id": stream_id, "settled": settled, "status": status}


def test_what_is_there_as_it_was_told_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a death broke off is counted."""
    lives = compared(monkeypatch, (200, "st_1"), row("st_1"), row("st_2", 0.3, "expired"))
    assert (lives.lost, lives.changed, lives.twice, lives.broken) == (0, 0, 0, 1)


def test_what_is_not_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone, with another sum, with another end, and bought once more."""
    assert compared(monkeypatch, (200, "st_1")).lost == 1
    assert compared(monkeypatch, (200, "st_1"), row("st_1", 0.9)).changed == 1
    assert compared(monkeypatch, (200, "st_1"), row("st_1", 1.0, "expired")).changed == 1
    assert compared(monkeypatch, (201, "st_7"), row("st_1")).twice == 1
    assert compared(monkeypatch, (200, "st_7"), row("st_1")).twice == 1


def test_the_worst_counts() -> None:
    """Of the times for which slots were held too long."""
    table = {one.name: one for one in dead_rows(Lives(deaths=2, late=[0.01, 3.0, 0.2]))}
    assert (table["slots held beyond a lease"].value, table["slots held beyond a lease"].verdict) == (3.0, "over")
    assert dead_rows(Lives())[-1].value == 0.0

"""The bench of the joins, with very few of them in earnest.

Invariant under test: old and new hear all of it, and the table says how fast they came.
It must not judge the figures.
"""

import io
import os
from typing import Any

import pytest

from gateway.bench import joins
from gateway.bench.benches import BENCHES, DONE, Order
from gateway.bench.crowd.orders import Door
from gateway.bench.joins import HOW, Arrival, Scale, rows, run
from gateway.bench.stage import Stage
from gateway.bench.usage import children
from tests.support.crowd import nowhere


@pytest.mark.nightly
def test_a_few_come() -> None:
    """Over HTTP, to two who are there."""
    out, before = io.StringIO(), children(os.getpid())
    assert run(Order(0.5, 1, ["http"], None, strict=False), out, io.StringIO(), Scale(4, 2)) == DONE
    said = " ".join(out.getvalue().split())
    assert children(os.getpid()) == before
    assert "plays to 2 listeners" in said
    assert "6 heard every byte to the end" in said


def test_the_scale_is_a_matter_of_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twelfth is there already; each door has its rounds."""
    asked: list[tuple[Door, Scale]] = []

    async def arrive(here: Stage, door: Door, scale: Scale, seconds: float) -> Arrival:
        asked.append((door, scale))
        return Arrival(scale.listeners, 1.0, 0.2, 0.5, 0.1, 0, "")

    monkeypatch.setattr(joins, "stage", nowhere)
    monkeypatch.setattr(joins, "arrive", arrive)
    monkeypatch.setattr(joins, "LISTENERS", 24)
    assert run(Order(0.5, 2, (), None, strict=False), io.StringIO(), io.StringIO()) == DONE
    assert asked == [("websocket", Scale(24, 2))] * 2 + [("http", Scale(24, 2))] * 2


def test_rates_and_silences() -> None:
    """The median of the one, the longest of the other."""
    usual: dict[str, Any] = {"listeners": 100, "cpu": 0.05, "crowd_cpu": 0.01, "wrong": 0, "words": ""}
    found = [Arrival(seconds=seconds, silence=seconds, **usual) for seconds in (0.1, 0.05, 0.02)]
    found.append(Arrival(100, 0.05, 0.0, 0.05, 0.01, 2, "chunk 3 was lost"))
    table = {row.name: row for row in rows(found, Scale(100, 10))}
    assert (table["joins a second"].value, table["joins a second"].verdict) == (2000.0, "ok")
    assert table["longest silence of 10"].value == 100.0
    assert table["processor time meanwhile"].value == pytest.approx(500.0)
    assert (table["lost or wrong"].value, table["lost or wrong"].spread) == (2, "chunk 3 was lost")


def test_every_part_is_explained() -> None:
    """In the table and beside the figures."""
    assert set(HOW) == set(BENCHES["joins"].parts)

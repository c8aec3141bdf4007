"""The bench of the fan-out: one part in earnest with very few, the others with sittings of the test's own.

Invariant under test: real processes are gathered and gone, and each part asks for what it is about.
It must not judge the figures.
"""

import io
import os
import re
from dataclasses import replace

import pytest

from gateway.bench import beside, fanout
from gateway.bench.benches import BENCHES, DONE, Order
from gateway.bench.fanout import HOW, Scale, run, scale_of
from gateway.bench.gathering import Sitting, Size
from gateway.bench.report import Row
from gateway.bench.stage import Stage
from gateway.bench.usage import children
from tests.support.crowd import nowhere
from tests.unit.gateway.bench.test_fanout_rows import sitting

LITTLE = Scale((1, 3), 4, 2, 2, 3, settle=0.0, peers=())


def test_a_few_hear_it() -> None:
    """Every byte of it, from a real gateway, and no process is left."""
    out, err, before = io.StringIO(), io.StringIO(), children(os.getpid())
    assert run(Order(0.5, 1, ["websocket"], None, strict=False), out, err, replace(LITTLE, sizes=(3,))) == DONE
    said = out.getvalue()
    assert children(os.getpid()) == before
    assert "3 heard every byte of a song" in " ".join(said.split())
    assert re.search(r"frames miscounted +0 +<= 0 +ok", said), "the metrics by the crowd"
    assert "a frame, 3 listeners" in said
    assert "measuring websocket: 3 listeners over WebSocket, round 1 of 1\n" in err.getvalue()


@pytest.mark.nightly
async def test_each_part_asks_for_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """In rounds, in turns."""
    asked: list[Size] = []

    async def sit(here: Stage, size: Size, seconds: float, settle: float) -> Sitting:
        asked.append(size)
        return sitting(size.listeners, 10.0, streams=size.streams)

    async def compare(here: Stage, peers: object, listeners: int, *rest: object) -> list[Row]:
        return [Row("beside", listeners, "")]

    monkeypatch.setattr(fanout, "stage", nowhere)
    monkeypatch.setattr(fanout, "sit", sit)
    monkeypatch.setattr(beside, "compare", compare)
    parts = fanout.Parts(Order(0.5, 2, (), None, strict=False), LITTLE)
    await parts.measure("websocket", print)
    assert asked == [Size("websocket", 1), Size("websocket", 3)] * 2
    asked.clear()
    await parts.measure("http", print)
    assert asked == [Size("websocket", 4), Size("http", 4)] * 2
    asked.clear()
    await parts.measure("streams", print)
    assert asked == [Size("websocket", 4), Size("websocket", 4, 2)] * 2
    assert (await parts.measure("peers", print))[0] == Row("beside", 3, "")


def test_the_usual_scale_and_a_chosen_one() -> None:
    """Never nobody."""
    assert scale_of(None).sizes == (200, 2000, 12_000)
    assert (scale_of(12_000).sizes, scale_of(12_000).streams) == ([200, 2000, 12_000], 200)
    one = scale_of(1)
    assert (one.sizes, one.http, one.streams, one.each, one.beside) == ([1], 1, 1, 1, 1)


def test_every_part_is_explained() -> None:
    """In the table and beside the figures."""
    assert set(HOW) == set(BENCHES["fanout"].parts)

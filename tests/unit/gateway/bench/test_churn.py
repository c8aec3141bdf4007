"""The bench of coming and going, with very few in earnest.

Invariant under test: everybody hears what is due, all of it is over in the end, and what is left is told.
It must not judge the figures.
"""

import io
import os

import pytest

from gateway.bench import churn as module
from gateway.bench.benches import BENCHES, DONE, Order
from gateway.bench.churn import HOW, Rest, Scale, rows, run
from gateway.bench.crowd import orders
from gateway.bench.report import Row
from gateway.bench.stage import Server, Stage
from gateway.bench.usage import children
from tests.support.crowd import nowhere

LITTLE = Scale(listeners=6, step=0.6, songs=2, spare=0.5, retain=0.2)


@pytest.mark.nightly
def test_a_few_come_and_go() -> None:
    """On a real gateway, which is empty in the end."""
    out, before = io.StringIO(), children(os.getpid())
    assert run(Order(1.2, 1, (), None, strict=False), out, io.StringIO(), LITTLE) == DONE
    said = " ".join(out.getvalue().split())
    assert children(os.getpid()) == before
    assert "lost or wrong 0 <= 0 ok" in said
    assert "left in the gauge 0 listeners <= 0 ok" in said
    assert "left of the songs 0 streams <= 0 ok" in said
    assert "complaints 0 lines <= 0 ok" in said


def found(**faults: int) -> orders.Found:
    """A report on 5 who heard the end and 3 who came back."""
    group = orders.Group(
        frames=90,
        heard=90,
        size=9000,
        silence=0.0,
        present=5,
        joined=9,
        ended=5,
        whole=4,
        gone=0,
        recovered=3,
        faults=faults,
        words=["lost: 3"] if faults else [],
    )
    return orders.Found(2.0, 0.5, 0.1, [], {"churn": group})


def test_what_is_left_is_told() -> None:
    """Memory by what there was before, and each line of complaint."""
    before, after = Rest(50 << 20, 0.0, 0), Rest(70 << 20, 2.0, 1)
    table = {row.name: row for row in rows(found(lost=2), {"resumed": 4, "joined": 9}, 0.2, before, after, ["no!"])}
    assert (table["lost or wrong"].value, table["lost or wrong"].spread) == (3, "lost: 3")
    assert table["what listeners did"].spread == "9 joined, 4 resumed"
    assert (table["came back, missed nothing"].value, table["heard the end"].value) == (3, 4)
    assert [table[name].verdict for name in ("left in the gauge", "left of the songs", "complaints")] == ["over"] * 3
    assert (table["more memory than before"].value, table["more memory than before"].verdict) == (20.0, "over")


def test_a_clean_run() -> None:
    """Says nothing is wrong but an end that was."""
    table = {row.name: row for row in rows(found(), {}, 0.2, Rest(1, 0.0, 0), Rest(1, 0.0, 0), [])}
    assert (table["lost or wrong"].value, table["lost or wrong"].spread) == (1, "of 90 frames")
    assert table["complaints"].verdict == "ok"


@pytest.mark.blocking("nobody waits")
async def test_a_gateway_that_forgets_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left then is what is told."""

    class Hoarder(Server):
        def resident(self) -> int:
            return 7

        async def metrics(self) -> str:
            return "wavegate_listeners 3.0\n"

        async def streams(self) -> list[dict[str, object]]:
            return [{}]

    monkeypatch.setattr(module, "_FORGET_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    hoarder = Hoarder(1, "", "", "", None)  # type: ignore[arg-type] - it complains of nothing
    assert await module._rest(hoarder) == Rest(7, 3.0, 1)


def test_rounds_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So each is another course of events; steps are no longer than half of it."""
    asked: list[tuple[Scale, int]] = []

    async def once(here: Stage, scale: Scale, seconds: float, seed: int, tell: object) -> list[Row]:
        asked.append((scale, seed))
        return []

    monkeypatch.setattr(module, "stage", nowhere)
    monkeypatch.setattr(module, "churn", once)
    assert run(Order(4.0, 2, (), None, False, 7), io.StringIO(), io.StringIO()) == DONE
    assert [scale for scale, _ in asked] == [Scale(7, 2.0)] * 2
    assert asked[0][1] != asked[1][1]


def test_it_is_explained() -> None:
    """In the table and beside the figures."""
    assert set(HOW) == set(BENCHES["churn"].parts)

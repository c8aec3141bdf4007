"""The bench of the books, with very few orders and deaths in earnest, and its judgement on books that are wrong.

Invariant under test: a wrong row is found, whichever it is; right ones pass.
It must not judge the gateway.
"""

import io
import os
from typing import Any

import pytest

from gateway.bench.benches import BENCHES, DONE, BenchError, Order
from gateway.bench.money import HOW, Charge, Scale, rows, run
from gateway.bench.usage import children

LITTLE = Scale(rushes=1, orders=12, at_once=6, deaths=1)


@pytest.mark.nightly
def test_a_few_orders_and_a_death() -> None:
    """On real gateways: the books are right, and no process is left."""
    out, before = io.StringIO(), children(os.getpid())
    assert run(Order(1.0, 1, (), None, strict=False), out, io.StringIO(), LITTLE) == DONE
    said = " ".join(out.getvalue().split())
    assert children(os.getpid()) == before
    assert "visits 12" in said
    for name in (
        "started more than ten",
        "started fewer",
        "leases left",
        "whole songs billed otherwise",
        "charged beyond what was sent",
        "neither settled nor given back",
        "bills lost",
        "bills changed",
        "bought twice",
    ):
        assert f"{name} 0 <= 0 ok" in said.replace(f"{name}0", f"{name} 0")
    assert "deaths 1" in said


def row(number: int, status: str = "completed", settled: float = 2.0, **other: Any) -> dict[str, Any]:
    made = {
        "stream_id": f"st_{number}",
        "provider_request_id": f"r{number}",
        "status": status,
        "settled": settled,
        "reserved": 240.0,
        "refunded": 240.0 - settled,
        "finished_at": 1.0,
    }
    return made | other


RIGHT = [row(1), row(2, "failed", 0.5), row(3, "cancelled", 0.0, provider_request_id=None), row(4, settled=2.02)]
CHARGES = {"r1": Charge(2.0, True), "r2": Charge(0.75, True), "r4": Charge(2.0, False)}


def table(*more: dict[str, Any]) -> dict[str, float]:
    return {one.name: one.value for one in rows([*RIGHT, *more], CHARGES | {"r9": Charge(3.0, True)}, {"heard": 4})}


def test_books_that_are_right() -> None:
    """A song that was billed, one that broke off with some on its way, one never begun, and one without a bill."""
    found = table()
    assert [
        found[name] for name in found if name not in ("visits", "generations", "settled", "sent and not charged")
    ] == [0] * 4
    assert (found["visits"], found["generations"]) == (4, 4)
    assert found["settled"] == pytest.approx(4.52)
    assert found["sent and not charged"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (row(9, settled=2.0), "whole songs billed otherwise"),
        (row(9, settled=3.002), "whole songs billed otherwise"),
        (row(4, settled=2.2), "whole songs billed otherwise"),
        (row(9, "failed", 3.2), "charged beyond what was sent"),
        (row(8, "failed", 0.2), "charged beyond what was sent"),
        (row(9, settled=3.0, refunded=200.0), "neither settled nor given back"),
        (row(9, settled=3.0, finished_at=None), "leases left"),
    ],
)
def test_a_wrong_row_is_found(wrong: dict[str, Any], name: str) -> None:
    """Each in its own line."""
    assert table(wrong)[name] == 1


def test_without_any_order_there_is_nothing_to_judge() -> None:
    """Books of nothing would pass everything."""
    with pytest.raises(BenchError):
        rows([], {}, {})


def test_every_part_has_its_words() -> None:
    """Those of the table are those that are told how."""
    assert set(HOW) == set(BENCHES["money"].parts)

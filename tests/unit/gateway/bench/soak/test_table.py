"""The soak's table of states and accounts that are made up.

Invariant under test: whatever is left, or in no row of the ledger, is a target that is missed.
It must not run a gateway.
"""

from dataclasses import fields, replace
from typing import Any

import pytest

from gateway.bench.crowd.orders import Found, Group
from gateway.bench.money import Charge
from gateway.bench.report import Row
from gateway.bench.soak.count import Count
from gateway.bench.soak.state import State
from gateway.bench.soak.table import (
    MOST_CODEC_MIB,
    MOST_MIB,
    MOST_THREADS,
    book_rows,
    complaint_rows,
    guest_rows,
    state_rows,
)

SAME = State(100 << 20, 50 << 20, 30, 10, 9, 3, 12, 2, 0, 0, 0, 0, 0, 0, 0, 0)


def missed(rows: list[Row]) -> list[str]:
    return [row.name for row in rows if row.verdict not in ("", "ok")]


def test_the_same_state_misses_nothing() -> None:
    """Nor does one with less."""
    assert missed(state_rows(SAME, SAME)) == []
    assert missed(state_rows(SAME, replace(SAME, memory=1, files=1, sockets=1, processes=2))) == []


@pytest.mark.parametrize("name", [one.name for one in fields(State) if "mem" not in one.name and one.name != "threads"])
def test_whatever_is_left_is_a_miss(name: str) -> None:
    """One more of any."""
    assert len(missed(state_rows(SAME, replace(SAME, **{name: getattr(SAME, name) + 1})))) == 1


def test_memory_and_threads_have_an_allowance() -> None:
    """Stated in MiB, of the gateway and of its codec workers; of threads what the loop's executor may begin."""
    assert missed(state_rows(SAME, replace(SAME, threads=SAME.threads + MOST_THREADS))) == []
    assert missed(state_rows(SAME, replace(SAME, threads=SAME.threads + MOST_THREADS + 1))) == ["threads"]
    bit = replace(SAME, memory=SAME.memory + int(MOST_MIB) * (1 << 20))
    assert missed(state_rows(SAME, bit)) == []
    assert missed(state_rows(SAME, replace(bit, memory=bit.memory + 1))) == ["memory"]
    much = replace(SAME, codec_memory=SAME.codec_memory + int(MOST_CODEC_MIB + 1) * (1 << 20))
    assert missed(state_rows(SAME, much)) == ["memory of codec workers"]


def test_a_worker_that_is_missing_is_a_miss() -> None:
    """The gateway keeps a number of them."""
    assert missed(state_rows(SAME, replace(SAME, workers=1))) == ["codec workers"]


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


LEDGER = [row(1), row(2, "cancelled", 0.0, provider_request_id=None)]


def test_every_second_is_in_a_row() -> None:
    """One call too many that nobody can explain is found; one that was broken off, or asked again, is explained."""
    charges = {"r1": Charge(2.0, True), "r7": Charge(0.5, True)}
    assert missed(book_rows(LEDGER, charges, 0)) == []
    more = charges | {"r8": Charge(1.0, True)}
    assert missed(book_rows(LEDGER, more, 1)) == []
    assert missed(book_rows(LEDGER, more, 0)) == ["calls that nobody can explain"]
    assert missed(book_rows(LEDGER, charges | {"r8": Charge(0.0, True)}, 0)) == []
    assert missed(book_rows([row(1, settled=1.0)], {"r1": Charge(2.0, True)}, 0)) == ["whole songs billed otherwise"]


def test_guests_and_crowd_are_judged() -> None:
    """By what was wrong for them, and by ends that were not right."""
    group = Group(
        frames=9, heard=9, size=9, silence=0.0, present=0, joined=3, ended=3, whole=3, gone=0, recovered=0, faults={},
        words=[],
    )  # fmt: skip
    count = Count()
    count.did("ordered")
    well = guest_rows(count, Found(1.0, 0.1, 0.0, [], {"first": group}))
    assert missed(well) == []
    assert well[0].spread == "1 ordered"
    count.wrong("hash", "another")
    badly = Group(**{one: getattr(group, one) for one in group.__struct_fields__} | {"whole": 2})
    assert missed(guest_rows(count, Found(1.0, 0.1, 0.0, [], {"first": badly}))) == [
        "wrong for guests",
        "lost or wrong for the crowd",
    ]


def test_a_traceback_is_a_fault() -> None:
    """Other complaints are told only."""
    assert missed(complaint_rows([])) == []
    assert missed(complaint_rows(["a warning"])) == []
    rows = complaint_rows(["an error", "Traceback (most recent call last):", "  ..."])
    assert missed(rows) == ["tracebacks among them"]
    assert rows[1].spread == "an error"

"""Any bench, whose parts are measured by the test.

Invariant under test: parts come in the bench's order, figures are printed and written, and a missed target fails only
who is strict.
It must not know how a part measures.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.bench import runner
from gateway.bench.benches import DONE, FAILED, BenchError, Order
from gateway.bench.report import Row
from gateway.bench.runner import Tell, chosen, run

HOW = {"websocket": "So.", "http": "And so."}


def measure(part: str, tell: Tell) -> Sequence[Row]:
    """A target missed."""
    tell("it")
    return [Row(part, 2.0, "x", 1.0)]


@pytest.mark.parametrize(("strict", "code"), [(False, DONE), (True, FAILED)])
def test_a_missed_target_fails_only_who_is_strict(strict: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in either case. Without /proc nothing is said of others."""
    monkeypatch.setattr(runner, "others_cpu", lambda pid: None)
    out, err = io.StringIO(), io.StringIO()
    assert run("joins", Order(1.0, 1, ["http", "websocket"], None, strict), out, err, measure, HOW) == code
    said = out.getvalue()
    assert said.index("\nwebsocket: over WebSocket\n  So.\n") < said.index("\nhttp: over HTTP\n")
    assert said.endswith("0 of 2 targets met\n  over  websocket: 2.00 x\n  over  http: 2.00 x\n")
    assert "measuring websocket: it\nmeasuring http: it\n" in err.getvalue()


def test_figures_are_written(tmp_path: Path) -> None:
    """With the machine, and with what was asked."""
    file = tmp_path / "figures.json"
    order = Order(1.0, 2, ["http"], file, False, 7)
    assert run("joins", order, io.StringIO(), io.StringIO(), measure, HOW) == DONE
    found = json.loads(file.read_text())
    assert (found["bench"], found["seconds"], found["rounds"], found["listeners"]) == ("joins", 1.0, 2, 7)
    assert {"python", "loop", "aiohttp", "websockets", "wavegate", "system"} <= set(found["machine"])
    assert [(row["part"], row["value"], row["verdict"]) for row in found["rows"]] == [("http", 2.0, "over")]


def test_figures_that_cannot_be_written_are_not_measured(tmp_path: Path) -> None:
    """It is told at once."""
    order = Order(1.0, 1, (), tmp_path / "no/f.json", strict=False)
    with pytest.raises(BenchError, match="cannot be written: No such file"):
        run("joins", order, io.StringIO(), io.StringIO(), measure, HOW)


def test_no_choice_is_all() -> None:
    """In the bench's order."""
    assert chosen("joins", Order(1.0, 1, (), None, strict=False)) == ["websocket", "http"]

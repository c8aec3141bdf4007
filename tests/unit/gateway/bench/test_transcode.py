"""The whole bench of the transcoder, with very little of everything.

Invariant under test: all parts run on this machine, each figure is printed and written, and no process is left.
It must not judge the figures: a test says nothing about speed.
"""

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway.bench import conversion, transcode
from gateway.bench.benches import BENCHES, DONE, FAILED, BenchError, Order
from gateway.bench.conversion import CONVERSIONS
from gateway.bench.loop import Crowd
from gateway.bench.report import Row
from gateway.bench.transcode import HOW, Scale, run
from gateway.bench.usage import children

LITTLE = Scale(Crowd(2, 5), 0.0, 2, 2, 1, CONVERSIONS[:1], CONVERSIONS[4:5], ("opus",))


@pytest.mark.nightly
def test_every_part_is_measured(need: Callable[[str], str], tmp_path: Path) -> None:
    """Once, in order, with ffmpeg, a simulator, a gateway and workers, all of which end."""
    need("ffmpeg")
    out, err, file = io.StringIO(), io.StringIO(), tmp_path / "figures.json"
    before = children(os.getpid())
    assert run(Order(0.5, 2, (), file, strict=False), out, err, LITTLE) == DONE
    assert children(os.getpid()) == before
    said = out.getvalue()
    at = [said.index(f"\n{part}: {told}") for part, told in BENCHES["transcode"].parts.items()]
    assert at == sorted(at)
    assert "targets met" in said
    assert "measuring loop: 2 renditions, 5 listeners\n" in err.getvalue()
    figures = json.loads(file.read_text())
    assert figures["machine"]["processors"] >= 1
    assert {row["part"] for row in figures["rows"]} == set(HOW)


@pytest.mark.parametrize(("strict", "code"), [(False, DONE), (True, FAILED)])
def test_a_missed_target_fails_only_who_is_strict(strict: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in either case."""

    def measure(part: str, *rest: object) -> Sequence[Row]:
        return [Row(part, 2.0, "x", 1.0)]

    monkeypatch.setattr(transcode, "measure", measure)
    out = io.StringIO()
    assert run(Order(1.0, 1, ["memory", "first"], None, strict), out, io.StringIO()) == code
    assert out.getvalue().endswith("0 of 2 targets met\n  over  first: 2.00 x\n  over  memory: 2.00 x\n")


def test_without_ffmpeg_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found missing before anybody has waited; parts that do not need it run."""
    monkeypatch.setattr(conversion.shutil, "which", lambda name: None)
    out = io.StringIO()
    with pytest.raises(BenchError, match="ffmpeg"):
        run(Order(1.0, 1, (), None, strict=False), out, io.StringIO())
    assert out.getvalue() == ""
    assert run(Order(0.5, 1, ["container"], None, strict=False), out, io.StringIO()) == DONE
    assert "ffmpeg not installed" in out.getvalue()


def test_figures_that_cannot_be_written_are_not_measured(tmp_path: Path) -> None:
    """It is told at once."""
    out = io.StringIO()
    with pytest.raises(BenchError, match="cannot be written: No such file"):
        run(Order(0.5, 1, ["container"], tmp_path / "no/f.json", strict=False), out, io.StringIO())
    assert out.getvalue() == ""

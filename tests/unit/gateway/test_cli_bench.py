"""`wavegate bench`: its usage, and what a bench is called with.

Invariant under test: an unknown name is answered with the known ones, and what cannot be measured is a sentence.
It must not measure anything.
"""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from gateway import cli
from gateway.bench.benches import BENCHES, BenchError, Order

CALLED: list[Order] = []


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench that takes its order, and that cannot measure what is too short."""

    def run(order: Order, out: TextIO, err: TextIO) -> int:
        assert (out, err) == (sys.stdout, sys.stderr)
        if order.seconds < 1:
            raise BenchError("this is not the machine for it.")
        CALLED.append(order)
        return 0

    CALLED.clear()
    monkeypatch.setitem(BENCHES, "transcode", replace(BENCHES["transcode"], run=run))


def test_an_order_is_handed_on() -> None:
    """With the options, or what is usual."""
    assert cli.main(["bench", "transcode"]) == 0
    more = ["--seconds", "5", "--rounds", "2", "--only", "cpu", "--only", "loop", "--json", "f.json", "--strict"]
    assert cli.main(["bench", "transcode", *more]) == 0
    usual, chosen = CALLED
    assert usual == Order(60.0, 5, (), None, strict=False)
    assert chosen == Order(5.0, 2, ["cpu", "loop"], Path("f.json"), strict=True)


def test_each_bench_has_what_is_usual_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a number of listeners where there are any."""
    known = replace(BENCHES["transcode"], listeners="7", seconds=3.0, rounds=4, most=300.0)
    monkeypatch.setitem(BENCHES, "fanout", known)
    assert cli.main(["bench", "fanout"]) == 0
    assert cli.main(["bench", "fanout", "--listeners", "11", "--seconds", "300"]) == 0
    assert [Order(3.0, 4, (), None, strict=False), Order(300.0, 4, (), None, False, 11)] == CALLED
    assert cli.main(["bench", "fanout", "--seconds", "301"]) == 2


@pytest.mark.parametrize("listeners", ["0", "19001"])
def test_listeners_beyond_reason_are_usage(listeners: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence and code 2."""
    assert cli.main(["bench", "fanout", "--listeners", listeners]) == 2
    assert capsys.readouterr().err == "wavegate: --listeners is 1 to 19000\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dance",), "choose from 'transcode'"),
        ((), "NAME"),
        (("transcode", "--only", "everything"), "capacity"),
    ],
)
def test_wrong_usage_names_what_there_is(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With code 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *arguments])
    assert ended.value.code == 2
    assert said.replace("'", "") in capsys.readouterr().err.replace("'", "")


@pytest.mark.parametrize("arguments", [("--seconds", "0.1"), ("--seconds", "nan"), ("--rounds", "0")])
def test_what_cannot_be_is_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence and code 2."""
    assert cli.main(["bench", "transcode", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"wavegate: {arguments[0]} is ")


def test_a_bench_that_is_told_to_end_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Ctrl-C; afterwards the signal means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    cleared: list[bool] = []

    def run(order: Order, out: TextIO, err: TextIO) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleared.append(True)
        return 0

    monkeypatch.setitem(BENCHES, "transcode", replace(BENCHES["transcode"], run=run))
    assert cli.main(["bench", "transcode"]) == 1
    assert cleared == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_cannot_be_measured_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """And code 1."""
    assert cli.main(["bench", "transcode", "--seconds", "0.5"]) == 1
    assert capsys.readouterr().err == "wavegate: this is not the machine for it.\n"

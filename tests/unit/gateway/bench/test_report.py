"""The table in wide and narrow windows, the verdicts in words, and the document.

Invariant under test: a target that is missed says so beside its value, whatever the window.
It must not know what was measured.
"""

import math

import pytest

from gateway.bench.report import Row, Section, document, summary, text

GOOD = Row("opus", 1.01, "x", 1.05, "8.10 : 8.02 ms/s")
BAD = Row("a long name of a figure", 3.456, "ms", 2.0, judged=9.0)
TOLD = Row("at rest", 0.2, "ms", digits=1)
FEW = Row("encodes", 40, "encodes", 50.0, least=True, digits=0)
SECTION = Section("cpu", "what it takes", "Words about how it was measured. " * 9, [GOOD, BAD, TOLD, FEW], 0.52)


@pytest.mark.parametrize(("row", "verdict"), [(GOOD, "ok"), (BAD, "over"), (TOLD, ""), (FEW, "below")])
def test_verdicts_are_words(row: Row, verdict: str) -> None:
    """By the value, or by what is judged in its place."""
    assert row.verdict == verdict


def test_enough_is_ok() -> None:
    """The least is met by itself."""
    assert Row("encodes", 50, "encodes", 50.0, least=True).verdict == "ok"


def test_a_wide_table_has_one_line_for_each_figure() -> None:
    """In columns, the verdict beside the target."""
    lines = text(SECTION, 120).splitlines()
    assert lines[:2] == ["", "cpu: what it takes (others took 0.5 processors meanwhile)"]
    assert lines[-4:] == [
        "  opus                        1.01 x         <= 1.05  ok     8.10 : 8.02 ms/s",
        "  a long name of a figure     3.46 ms        <= 2     over",
        "  at rest                     0.2 ms",
        "  encodes                     40 encodes     >= 50    below",
    ]
    assert max(map(len, lines)) <= 100


def test_a_narrow_table_keeps_the_verdicts() -> None:
    """What is beside a figure goes below it; no line is longer than the window."""
    lines = text(SECTION, 62).splitlines()
    assert "    8.10 : 8.02 ms/s" in lines
    assert "  a long name of a figure     3.46 ms        <= 2     over" in lines
    assert max(map(len, lines)) <= 62


def test_what_others_took_need_not_be_known() -> None:
    """Then nothing is said of it."""
    assert text(Section("a", "b", "c", []), 80) == "\na: b\n  c\n"


def test_the_summary_names_what_was_missed() -> None:
    """With its verdict and value."""
    assert (
        summary([SECTION])
        == "\n1 of 3 targets met\n  over  a long name of a figure: 3.46 ms\n  below encodes: 40 encodes\n"
    )


def test_what_was_not_measured_says_so() -> None:
    """In words, and in the document as nothing."""
    row = Row("nobody", math.nan, "us", None, "is not installed")
    assert "  nobody                      not measured\n    is not installed\n" in text(Section("", "", "", [row]), 80)
    assert document([Section("", "", "", [row])])[0]["value"] is None


def test_the_document_has_every_figure() -> None:
    """JSON has no infinity."""
    rows = document([SECTION, Section("b", "", "", [Row("none", math.inf, "x", 1.0)])])
    assert rows[1] == {
        "part": "cpu",
        "name": "a long name of a figure",
        "value": 3.456,
        "judged": 9.0,
        "unit": "ms",
        "spread": "",
        "target": 2.0,
        "verdict": "over",
        "others": 0.52,
    }
    assert rows[-1]["value"] is None
    assert rows[2]["verdict"] is None

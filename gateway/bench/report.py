"""What a bench found, as a table for people and as a document for programs.

Invariant: whether a target is met is said in words, beside the value and the target; columns stand under each other in
a wide window, and in a narrow one what is beside a figure goes below it. It must not know what was measured.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_NAME, _VALUE, _TARGET, _VERDICT, _SPREAD = 30, 15, 9, 7, 33
_WIDE = _NAME + _VALUE + _TARGET + _VERDICT + _SPREAD
_LONGEST = 100  # no line of prose is longer, however wide the window


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `target` is the most it may be, with `least` the least; None where it is only told.

    `judged` is what is held against the target, where that is another than `value`. `spread` is for people.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    spread: str = ""
    judged: float | None = None
    least: bool = False
    digits: int = 2

    @property
    def verdict(self) -> str:
        """`ok`, `over` or `below`; nothing where there is no target."""
        if self.target is None:
            return ""
        value = self.value if self.judged is None else self.judged
        if self.least:
            return "ok" if value >= self.target else "below"
        return "ok" if value <= self.target else "over"


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of one part, and how they were measured. `others` is how many processors the rest of the machine took
    meanwhile, None where that cannot be told.
    """

    part: str
    title: str
    how: str
    rows: Sequence[Row]
    others: float | None = None


def text(section: Section, width: int) -> str:
    """The section for a window of so many columns, with an empty line before it."""
    prose = textwrap.fill(section.how, min(width, _LONGEST), initial_indent="  ", subsequent_indent="  ")
    others = "" if section.others is None else f" (others took {section.others:.1f} processors meanwhile)"
    lines = ["", *textwrap.wrap(f"{section.part}: {section.title}{others}", width), prose]
    for row in section.rows:
        value, target = _measured(row.value, row), _target(row)
        line = f"  {row.name:<{_NAME - 2}}{value:<{_VALUE}}{target:<{_TARGET}}{row.verdict:<{_VERDICT}}"
        if width >= _WIDE:
            lines.append(f"{line}{row.spread}".rstrip())
        else:
            lines += [line.rstrip(), *([f"    {row.spread}"] if row.spread else [])]
    return "\n".join(lines) + "\n"


def summary(sections: Sequence[Section]) -> str:
    """How many targets there were, and which were missed."""
    judged = [row for section in sections for row in section.rows if row.verdict]
    missed = [row for row in judged if row.verdict != "ok"]
    names = "".join(f"\n  {row.verdict:<6}{row.name}: {_measured(row.value, row)}" for row in missed)
    return f"\n{len(judged) - len(missed)} of {len(judged)} targets met{names}\n"


def document(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """One mapping for each figure."""
    return [
        {
            "part": section.part,
            "name": row.name,
            "value": _finite(row.value),
            "judged": _finite(row.value if row.judged is None else row.judged),
            "unit": row.unit,
            "spread": row.spread,
            "target": row.target,
            "verdict": row.verdict or None,
            "others": section.others,
        }
        for section in sections
        for row in section.rows
    ]


def _finite(value: float) -> float | None:
    """JSON has no infinity: what cannot be told is null."""
    return value if math.isfinite(value) else None


def _measured(value: float, row: Row) -> str:
    if math.isnan(value):
        return "not measured"
    return f"{value:.{row.digits}f} {row.unit}".rstrip()


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{'>=' if row.least else '<='} {row.target:g}"

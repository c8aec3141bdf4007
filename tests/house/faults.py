"""The rule about the table of faults: each row says what is so everywhere, and names a test that there is.

Invariant: a row has every cell, none of them says that something is unknown; the events, errors, alerts and metrics
that it names exist, and so does each test, in the file that it names.
It must not judge whether what a test shows is what the row says.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.house.threats import is_there

FAULTS = "tests/FAULTS.md"
CELLS = 5  # the cause, what listeners see, what operators see, what is kept, the tests
VAGUE = re.compile(r"\b(unknown|unclear|untested|to do|todo|tbd|not known)\b|\?", re.IGNORECASE)
QUOTED = re.compile(r"`([^`]+)`")


def fault_complaints(text: str, root: Path, known: Collection[str]) -> list[str]:
    """One sentence for each cell that is missing or vague, and each name in back quotes that is nothing's.

    `known` are the names of events, errors, alerts and metrics; a path that contains `::` is a test below `tests`.
    """
    found = []
    for cells in rows(text):
        named = f"{FAULTS}: {cells[0]}"
        if len(cells) != CELLS or not all(cells):
            found.append(f"{named} has {sum(map(bool, cells))} of {CELLS} cells")
            continue
        found += [f"{named} says that something is not known" for cell in cells if VAGUE.search(cell)]
        seen, tests = QUOTED.findall(" ".join(cells[:-1])), QUOTED.findall(cells[-1])
        found += [f"{named}: there is no {name}" for name in seen if _is_name(name) and name not in known]
        found += [f"{named} names no test"] * (not tests)
        found += [f"{named}: there is no test {test}" for test in tests if not is_there(test, root / "tests")]
    return found


def rows(text: str) -> Iterator[list[str]]:
    """The cells of all rows of all tables, without their heads."""
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        is_row = line.startswith("|") and before.startswith("|")
        if is_row and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _is_name(quoted: str) -> bool:
    """Of an event, an error, an alert or a metric; options and sentences have another look."""
    return bool(re.fullmatch(r"[a-z]+\.[a-z_]+|[a-z]+(_[a-z]+)+|Wavegate[A-Za-z]+", quoted))

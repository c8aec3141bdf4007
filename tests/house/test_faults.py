"""The table of faults: the house keeps the rule, and the rule sees rows that promise too much.

Invariant: the real table is held against the real events, errors, alerts, metrics, settings and tests.
It must not know what a fault does.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from gateway.config.document import default_yaml
from gateway.errors import HANDLING
from gateway.log.names import EVENTS
from metrics.catalogue import CATALOGUE
from tests.house.faults import FAULTS, fault_complaints
from tests.house.tree import ROOT

TABLE = """
| cause | who hears | who operates | what is kept | shown by |
|---|---|---|---|---|
| rain | wet feet | `roof.leaks` | all | `unit/test_rain.py::test_rain` |
"""


def known() -> Iterator[str]:
    """All names that a row may use."""
    yield from EVENTS
    yield from HANDLING
    yield from (f"wavegate_{row.name}" + "_total" * (row.kind == "counter") for row in CATALOGUE if not row.bare)
    yield from (row.name for row in CATALOGUE if row.bare)
    for rules in (ROOT / "deploy/observability/rules").iterdir():
        yield from re.findall(r"alert: (\w+)", rules.read_text(encoding="utf-8"))
    section = ""
    for line in default_yaml().splitlines():
        if match := re.match(r"(\w+):", line):
            section = match[1]
        elif match := re.match(r"  (\w+):", line):
            yield f"{section}.{match[1]}"


def test_every_row_is_so() -> None:
    """No cell is missing or vague, and every name is that of something."""
    found = fault_complaints((ROOT / FAULTS).read_text(encoding="utf-8"), ROOT, set(known()))
    assert not found, "\n".join(found)


def test_rows_that_promise_too_much_are_named(tmp_path: Path) -> None:
    """Cells that are missing or vague, names that are nobody's, tests that are not there."""
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "tests/unit/test_rain.py").write_text("async def test_rain():\n    pass\n", encoding="utf-8")

    def complaints(text: str) -> list[str]:
        return [one.removeprefix(f"{FAULTS}: ") for one in fault_complaints(text, tmp_path, {"roof.leaks"})]

    assert complaints(TABLE) == []
    assert complaints(TABLE.replace("| all", "|")) == ["rain has 4 of 5 cells"]
    assert complaints(TABLE.replace("all", "unknown")) == ["rain says that something is not known"]
    assert complaints(TABLE.replace("all", "a part?")) == ["rain says that something is not known"]
    assert complaints(TABLE.replace("roof.leaks", "roof.flies")) == ["rain: there is no roof.flies"]
    assert complaints(TABLE.replace("roof.leaks", "too_wet")) == ["rain: there is no too_wet"]
    assert complaints(TABLE.replace("`unit/test_rain.py::test_rain`", "me")) == ["rain names no test"]
    for wrong in ("unit/test_snow.py::test_rain", "unit/test_rain.py::test_snow", "unit/test_rain.py"):
        named = f"rain: there is no test {wrong}"
        assert complaints(TABLE.replace("unit/test_rain.py::test_rain", wrong)) == [named]

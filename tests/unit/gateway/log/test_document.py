"""The page about the log: it says what the code says, and the file in deploy is that page.

Invariant: the page is compared as a whole.
They must not know what stands in it.
"""

import runpy
from pathlib import Path

import pytest

from gateway.log.document import FIELDS, document
from gateway.log.names import EVENTS
from tests.house.tree import ROOT

PAGE = Path("deploy/logs.md")


def test_the_page_is_true() -> None:
    """Whoever changes the list writes the page again: python -m gateway.log > deploy/logs.md."""
    assert (ROOT / PAGE).read_text(encoding="utf-8") == document()


def test_every_event_and_field_is_in_it() -> None:
    """In a row of its own."""
    page = document()
    assert all(page.count(f"\n| `{name}` | ") == 1 for name in [*EVENTS, *FIELDS])


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As `python -m gateway.log` does."""
    runpy.run_module("gateway.log", run_name="__main__")
    assert capsys.readouterr().out == document()

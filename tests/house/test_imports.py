"""Imports: the house keeps the rule, and the rule sees a cycle, a warning and a module that ends the interpreter.

Invariant: the samples stand in a temporary folder under our packages' names, and are imported by another interpreter.
It must not import the house itself.
"""

from pathlib import Path

from tests.house.imports import complaints, module_name
from tests.house.tree import ROOT


def test_every_module_imports_alone() -> None:
    """Every module of the house can be the first of ours that is imported, without a warning."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


def test_a_cycle_and_a_warning_are_named(tmp_path: Path) -> None:
    """A module that needs another one first, and one that warns, are named; their neighbours are not.

    So is one that finds a room without asking for it, for somebody else had.
    """
    samples = {
        "__init__": "",
        "hen": "from gateway.egg import SHELL\nFEATHER = 1\n",
        "egg": "from gateway.hen import FEATHER\nSHELL = 1\n",
        "loud": "import warnings\nwarnings.warn('old', DeprecationWarning)\n",
        "quiet": "import gateway.deep.room\n",
        "deep/__init__": "",
        "deep/room": "BED = 1\n",
        "lucky": "import gateway.deep\nBED = gateway.deep.room.BED\n",
        "careful": "import gateway.quiet\nBED = gateway.deep.room.BED\n",
    }
    for name, text in samples.items():
        path = tmp_path / f"gateway/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert [sentence.partition(":")[0] for sentence in complaints(tmp_path)] == [
        "gateway.egg",
        "gateway.hen",
        "gateway.loud",
        "gateway.lucky",
    ]


def test_a_module_that_ends_the_interpreter_is_a_complaint(tmp_path: Path) -> None:
    """A module that takes the interpreter down with it does not pass for want of an answer."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/__init__.py").touch()
    (tmp_path / "metrics/end.py").write_text(
        "import os, sys\nsys.stderr.write('gone')\nsys.stderr.flush()\nos._exit(3)\n"
    )
    assert complaints(tmp_path) == ["gone"]


def test_a_package_is_called_after_its_folder() -> None:
    """The dotted name follows the path, and a package's `__init__` is the package."""
    assert module_name(Path("gateway/relay/hub.py")) == "gateway.relay.hub"
    assert module_name(Path("gateway/relay/__init__.py")) == "gateway.relay"

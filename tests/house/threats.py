"""The rule about documents that name tests: each of them is there.

Invariant: a name is a path below `tests/`, two colons and a function, as pytest writes it, parameters left out.
It must not run the tests, nor judge what they show.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# `integration/test_money.py::test_of_two_hundred_at_once_ten_start`
NAMED = re.compile(r"`((?:[a-z_]+/)*test_[a-z_0-9]+\.py)::(test_[a-z_0-9]+)`")


def missing(document: Path, tests: Path) -> Iterator[str]:
    """One sentence for each test that the document names and that is not there."""
    for path, name in NAMED.findall(document.read_text(encoding="utf-8")):
        if name not in _functions(tests / path):
            yield f"{document.name}: there is no {path}::{name}"


def _functions(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

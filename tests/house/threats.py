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
        if not is_there(f"{path}::{name}", tests):
            yield f"{document.name}: there is no {path}::{name}"


def is_there(test: str, tests: Path) -> bool:
    """Whether `path::function` is one of those below `tests`."""
    path, _, name = test.partition("::")
    file = tests / path
    if not name or not file.is_file():
        return False
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef) and one.name == name for one in tree.body)

"""The rule about openings: every module says what it is, its invariant and what it must not know, in 3 to 10 lines.

Invariant: blank lines do not count, a package's `__init__` may say it in one line, and an empty file says nothing.
It must not judge the words.
"""

import ast
import io
import tokenize
from pathlib import Path

from tests.house.tree import PACKAGES, files

LEAST, MOST = 3, 10


def complaints(root: Path) -> list[str]:
    """One sentence for each Python module, tests included, whose docstring is missing or of the wrong length."""
    found = []
    for path in files(root, [*PACKAGES, "tests"], ".py"):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            continue
        docstring = _docstring(text)
        lines = sum(1 for line in docstring.splitlines() if line.strip())
        least = 1 if path.name == "__init__.py" else LEAST
        if not least <= lines <= MOST:
            found.append(f"{path.relative_to(root)} opens with {lines} lines, not {least} to {MOST}")
    return found


def _docstring(text: str) -> str:
    """The module's opening string. Only its first words are read: to parse a thousand files takes seconds."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            opening: object = ast.literal_eval(token.string)
            return opening if isinstance(opening, str) else ""
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            break
    return ""

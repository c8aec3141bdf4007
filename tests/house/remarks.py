"""The rule about remarks: a switched-off check gives its reason on the line, and nothing is left for later.

Invariant: only comments are read for reasons and unfinished business; paths of one machine are sought in all text.
It must not judge whether a reason is a good one.
"""

import io
import re
import tokenize
from pathlib import Path

from tests.house.tree import PACKAGES, files

SWITCH = re.compile(r"#\s*(type:\s*ignore|noqa|pragma:\s*no (cover|branch))")
# The switch with what it switches off, a dash or a second comment, and a reason of at least two words.
REASONED = re.compile(
    r"#\s*(type:\s*ignore\[[\w, -]+\]|noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|pragma:\s*no (cover|branch))"
    r"\s*[-#—:]+\s*\w+\W+\w+"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"""(?<![\w.:/*}-])/(home|Users|root|work|tmp|opt)/\w""")


def complaints(root: Path) -> list[str]:
    """One sentence for each line that breaks the rule, with its number."""
    found = []
    for path in files(root, [*PACKAGES, "tests"], ".py", ".js", ".css", ".html"):
        text = path.read_text(encoding="utf-8")
        comments = _comments(text) if path.suffix == ".py" else dict(enumerate(text.splitlines(), start=1))
        for number, comment in comments.items():
            where = f"{path.relative_to(root)}:{number}"
            if path.suffix == ".py" and SWITCH.search(comment) and not REASONED.search(comment):
                found.append(f"{where} switches a check off without a reason")
            if word := UNFINISHED.search(comment):
                found.append(f"{where} leaves a {word[0]}")
        for number, line in enumerate(text.splitlines(), start=1):
            if "/" in line and MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(root)}:{number} names a path of one machine")
    return found


def _comments(text: str) -> dict[int, str]:
    if not (SWITCH.search(text) or UNFINISHED.search(text)):
        return {}  # no comment can match: most files need not be taken apart, which takes ten times as long
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

"""The rule about documents: a command that a reader is told to type exists.

Invariant: only fenced shell blocks are read; `wavegate NAME` must be a command of the command line, and a path that
begins with one of our folders must be there. The front page begins with the demo and names the test command.
It must not run what the documents say.
"""

import re
from pathlib import Path

from tests.house.tree import PACKAGES

SHELL_BLOCK = re.compile(r"^```(?:console|sh|shell|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?<![\w.-])wavegate ([a-z][a-z-]*)|python -m gateway ([a-z][a-z-]*)")
OUR_PATH = re.compile(rf"(?<![\w./:-])((?:{'|'.join((*PACKAGES, 'tests', 'deploy', '.ci'))})/[\w./-]*\w)")
DOCUMENTS = (
    "README.md",
    "gateway/README.md",
    "tests/README.md",
    "deploy/README.md",
    "deploy/OPERATING.md",
    "deploy/SIZING.md",
    "deploy/RELEASING.md",
    "deploy/LICENCES.md",
    "deploy/players/README.md",
    ".github/CONTRIBUTING.md",
)
PROMPT = re.compile(r'(?:"prompt": |--prompt )"([^"]*)"')


def shell_blocks(text: str) -> list[str]:
    """What a reader types in each fenced shell block of a Markdown text: no comments, no answers after prompts."""
    return [_typed(block.splitlines()) for block in SHELL_BLOCK.findall(text)]


def prompts(root: Path) -> list[str]:
    """What a reader is told to have sung, in every document."""
    texts = [(root / name).read_text(encoding="utf-8") for name in DOCUMENTS if (root / name).exists()]
    return [prompt for text in texts for block in shell_blocks(text) for prompt in PROMPT.findall(block)]


def _typed(lines: list[str]) -> str:
    prompted = [line for line in lines if line.startswith("$ ")]
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in prompted or lines)


def complaints(root: Path, commands: set[str]) -> list[str]:
    """One sentence for each fenced command that does not exist; `commands` are those of the command line."""
    found = []
    front = shell_blocks((root / "README.md").read_text(encoding="utf-8"))
    if not front or "wavegate serve --demo" not in front[0]:
        found.append("README.md: the first shell block does not hold `wavegate serve --demo`")
    if not any("tests/run" in block for block in front):
        found.append("README.md: no shell block holds `tests/run`")
    for name in DOCUMENTS:
        document = root / name
        for block in shell_blocks(document.read_text(encoding="utf-8")) if document.exists() else []:
            named = {first or second for first, second in COMMAND.findall(block)}
            found += [f"{name}: there is no `wavegate {command}`" for command in sorted(named - commands)]
            found += [f"{name}: {path} is not there" for path in OUR_PATH.findall(block) if not (root / path).exists()]
    return found

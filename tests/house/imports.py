"""The rule about imports: every module imports alone, before any other of ours, without a warning.

Invariant: one fresh interpreter tries them all with warnings as errors and forgets our modules between two of them, so
a cycle that only one order of imports hides is found, at the price of one start. `alone.py` is what runs there.
It must not leave anything imported in the process that asks.
"""

import subprocess
import sys
from pathlib import Path

from tests.house.tree import PACKAGES, files

# Runs in the fresh interpreter: arguments are module names, the answer is a line for each that fails.
TRY_EACH = Path(__file__).with_name("alone.py")
# Warnings of other people's code at import, which the house cannot mend.
ALLOWED = (
    "ignore:'audioop' is deprecated:DeprecationWarning",  # pydub on Python 3.12; from 3.13 on audioop-lts is used
    "ignore:invalid escape sequence:SyntaxWarning",  # pydub's regular expressions, when they are compiled
    "ignore:invalid escape sequence:DeprecationWarning",  # the same on Python 3.11
)
TIMEOUT = 55.0  # seconds for all modules together, which take 4 of a processor of their own


def complaints(root: Path) -> list[str]:
    """One sentence for each module of the house that cannot be imported alone."""
    names = [module_name(path.relative_to(root)) for path in files(root, PACKAGES, ".py") if path.name != "__main__.py"]
    warnings = [option for rule in ("error", *ALLOWED) for option in ("-W", rule)]
    done = subprocess.run(
        [sys.executable, *warnings, TRY_EACH, *names],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    crash = [done.stderr.strip()] if done.returncode else []
    return [*done.stdout.splitlines(), *crash]


def module_name(path: Path) -> str:
    """The dotted name of a source file given relative to the root."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

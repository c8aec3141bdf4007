"""What some tests need and pip does not install: programs (a browser, Redis, ffmpeg, a proxy) and packages from npm.

Invariant: a missing part skips the test by the part's name on a developer's machine and fails it where `CI` is true.
It must not start or install anything.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# The same program has other names on other systems.
OTHER_NAMES = {"chromium": ("chromium-browser", "google-chrome")}
# `npm:hls.js` is the folder of a package that tests/package.json names.
NPM = "npm:"
NPM_PACKAGES = Path(__file__).resolve().parents[1] / "node_modules"


def find(name: str) -> str | None:
    """The path of a program, or the folder of a package from npm; None where it is missing."""
    if not name.startswith(NPM):
        return shutil.which(name)
    folder = NPM_PACKAGES / name.removeprefix(NPM)
    return str(folder) if (folder / "package.json").is_file() else None


class Parts:
    """Finds the programs a run needs, and remembers which it did not find."""

    def __init__(self, environment: Mapping[str, str], which: Callable[[str], str | None] = find) -> None:
        self._strict = environment.get("CI", "").lower() in ("true", "1")
        self._which = which
        self.missing: set[str] = set()

    def need(self, name: str) -> str:
        """The path of the program or package `name`; without it the test is skipped, or fails where `CI` is true."""
        for known in (name, *OTHER_NAMES.get(name, ())):
            if path := self._which(known):
                return path
        self.missing.add(name)
        sentence = f"needs {name}, which is not installed here"
        if self._strict:
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)

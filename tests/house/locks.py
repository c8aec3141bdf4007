"""The rule about the locks: they hold what `pyproject.toml` asks for, with a hash for every file and no addresses.

Invariant: each requirement has, for every Python that is supported, exactly one pin that satisfies it.
It must not ask the network whether a newer version exists.
"""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ADDRESS = re.compile(r"https?:|file:|(?<![\w])/\w|--(extra-)?index-url|--find-links")


def complaints(root: Path) -> list[str]:
    """One sentence for each requirement a lock does not hold, each pin without a hash and each line with an address."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = project["project"]["dependencies"]
    development = project["dependency-groups"]["dev"]
    return [
        *_check(root, "deploy/requirements.txt", runtime),
        *_check(root, "tests/requirements.txt", [*runtime, *development]),
    ]


def _check(root: Path, name: str, requirements: list[str]) -> list[str]:
    text = (root / name).read_text(encoding="utf-8")
    found = [f"{name}:{n} holds an address" for n, line in enumerate(text.splitlines(), 1) if ADDRESS.search(line)]
    pins = []
    entries = re.sub(r"\s*#.*|^--.*", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    for entry in filter(str.strip, entries):
        pin, *hashes = entry.split("--hash=")
        pins.append(Requirement(pin.strip()))
        if not hashes:
            found.append(f"{name}: {pin.strip()} has no hash")
    for wanted in map(Requirement, requirements):
        for python in PYTHONS:
            environment = {"python_version": python, "python_full_version": f"{python}.0"}
            if _holds(wanted, environment) and not _pinned(wanted, pins, environment):
                found.append(f"{name}: {wanted} is not pinned for Python {python}")
    return found


def _holds(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def _pinned(wanted: Requirement, pins: list[Requirement], environment: dict[str, str]) -> bool:
    name = canonicalize_name(wanted.name)
    fitting = [pin for pin in pins if canonicalize_name(pin.name) == name and _holds(pin, environment)]
    return len(fitting) == 1 and all(wanted.specifier.contains(part.version) for part in fitting[0].specifier)

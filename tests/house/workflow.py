"""The rule about the build on GitHub: it is `tests/run`, on every Python that the project names, and little else.

Invariant: the Pythons of the workflow, of `pyproject.toml` and of the locks are the same ones; the only command is the
one that people type; whatever else is run is pinned to a commit, and nothing but reading is allowed.
It must not know GitHub's schema: a mistake in that is GitHub's to name.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.house.locks import PYTHONS

WORKFLOW = ".github/workflows/tests.yml"
COMMAND = re.compile(r"tests/run( \$\{\{[^}]*\}\}| --nightly)?")
PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40}")


def complaints(root: Path) -> list[str]:
    """One sentence for each missing Python, each other command, each loose action and each right beyond reading."""
    # In YAML 1.1 `on` is a truth value; read as strings it is the key that GitHub sees.
    document: dict[str, Any] = yaml.load((root / WORKFLOW).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    classified = tuple(line.removeprefix(prefix) for line in project["classifiers"] if line.startswith(prefix))
    found = []
    if classified != PYTHONS:
        found.append(f"pyproject.toml names Python {', '.join(classified)}, the locks hold {', '.join(PYTHONS)}")
    if project["requires-python"] != f">={classified[0]}":
        found.append(f"pyproject.toml requires Python {project['requires-python']} and names {classified[0]} first")
    for name, job in document["jobs"].items():
        found += [f"{name}: {sentence}" for sentence in _job(job, classified)]
    if document.get("permissions") != {"contents": "read"}:
        found.append("the workflow may do more than read")
    return found


def _job(job: dict[str, Any], pythons: tuple[str, ...]) -> Iterator[str]:
    if tuple(job.get("strategy", {}).get("matrix", {}).get("python", ())) != pythons:
        yield f"it is not run on Python {', '.join(pythons)}"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    if not commands:
        yield "it runs nothing"
    for command in commands:
        if not COMMAND.fullmatch(command.strip()):
            yield f"`{command.strip()}` is not the one test command"
    for step in job["steps"]:
        if "uses" in step and not PINNED.fullmatch(step["uses"]):
            yield f"{step['uses']} is not pinned to a commit"
    if "permissions" in job:
        yield "it has rights of its own"

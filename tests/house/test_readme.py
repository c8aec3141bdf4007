"""Documents: the house keeps the rule, and the rule sees a command and a path that are not there.

Invariant: the real commands are asked of the command line itself.
It must not know what the documents say beside their fenced commands.
"""

import re
import subprocess
import sys
from pathlib import Path

from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol.limits import V1, check
from tests.house.readme import complaints, prompts
from tests.house.tree import ROOT


def test_the_documents_name_what_exists() -> None:
    """Every fenced command and path in the documents of the house exists, and the front page begins with the demo."""
    found = complaints(ROOT, _commands())
    assert not found, "\n".join(found)


def test_a_command_and_a_path_that_do_not_exist_are_named(tmp_path: Path) -> None:
    """Unknown commands and absent paths are named; other blocks, comments and what a program answers are not read."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "README.md").write_text(
        "```sh\nwavegate serve --demo\n.venv/bin/wavegate sing\npython -m gateway dance\n```\n"
        "```console\n$ tests/run  # and wavegate whistle\n$ cat deploy/wavegate.yaml\nwavegate is ready\n```\n"
        "```python\nwavegate jump\n```\n"
    )
    assert complaints(tmp_path, {"serve"}) == [
        "README.md: there is no `wavegate dance`",
        "README.md: there is no `wavegate sing`",
        "README.md: tests/run is not there",
        "README.md: deploy/wavegate.yaml is not there",
    ]


def test_a_front_page_without_the_demo_is_named(tmp_path: Path) -> None:
    """The first shell block must hold the demo, and one must hold the test command."""
    (tmp_path / "README.md").write_text("```sh\npip install wavegate\n```\n```sh\nwavegate serve --demo\n```\n")
    assert len(complaints(tmp_path, {"serve"})) == 2


def test_every_song_that_a_reader_is_told_to_order_is_taken() -> None:
    """A prompt of the documents is one that the gateway accepts: neither too short nor in another language."""
    asked = prompts(ROOT)
    assert len(asked) > 5
    for prompt in asked:
        check(SongRequest(V1, Mode.STREAM, SongInput(prompt=prompt)))


def _commands() -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    commands = set(re.findall(r"^    ([a-z][a-z-]*)", shown, re.MULTILINE))
    assert "serve" in commands
    return commands

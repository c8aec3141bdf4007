"""The mirror: the house keeps the rule, and the rule sees a gap on either side.

Invariant: a sample is a list of paths, each with one line of code.
It must not know the real tree.
"""

from pathlib import Path

from tests.house.mirror import complaints
from tests.house.tree import ROOT


def test_every_source_file_has_its_test_file() -> None:
    """Source files and unit test files of the house are in one-to-one correspondence."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


def test_a_gap_on_either_side_is_named(tmp_path: Path) -> None:
    """A source file without tests and a test file without source are named, excepted files and aspects are not."""
    for name in (
        "gateway/__init__.py",
        "gateway/__main__.py",
        "gateway/relay/channel.py",
        "gateway/relay/hub.py",
        "tests/unit/gateway/relay/test_hub.py",
        "tests/unit/gateway/relay/test_hub_eviction.py",
        "tests/unit/gateway/relay/test_ghost.py",
        "tests/unit/gateway/relay/conftest.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ROOMS = 1\n")
    assert complaints(tmp_path) == [
        "gateway/relay/channel.py has no tests/unit/gateway/relay/test_channel.py",
        "tests/unit/gateway/relay/test_ghost.py tests no source file",
    ]

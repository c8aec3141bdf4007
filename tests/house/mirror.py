"""The rule about the mirror: a test file for every source file, at the same path, and no test file without one.

Invariant: `gateway/relay/channel.py` is tested by `tests/unit/gateway/relay/test_channel.py`, and beside it, where that
would be long, by `test_channel_ASPECT.py`; packages' `__init__.py`, `__main__.py` and files without code are excepted.
It must not look into the tests.
"""

from pathlib import Path

from tests.house.tree import PACKAGES, files

EXCEPTED = {"__init__.py", "__main__.py"}


def complaints(root: Path) -> list[str]:
    """One sentence for each source file without its test file, and for each unit test file without its source file."""
    expected = {
        root / "tests/unit" / path.relative_to(root).with_name(f"test_{path.name}"): path
        for path in files(root, PACKAGES, ".py")
        if path.name not in EXCEPTED and path.read_text(encoding="utf-8").strip()
    }
    present = {path for path in files(root, ["tests/unit"], ".py") if path.name.startswith("test_")}
    untested = [
        f"{source.relative_to(root)} has no {test.relative_to(root)}"
        for test, source in expected.items()
        if test not in present
    ]
    orphans = [
        f"{test.relative_to(root)} tests no source file"
        for test in sorted(present - expected.keys())
        if not any(test.name.startswith(f"{main.stem}_") for main in expected if main.parent == test.parent)
    ]
    return [*untested, *orphans]

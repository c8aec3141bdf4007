"""Parts: found under any of their names, skipped or failed by name when they are not.

Invariant: the search is a table, so the machine's own programs do not matter.
It must not start a program.
"""

import pytest

from tests.house.parts import Parts


def test_a_part_is_found_under_its_other_name() -> None:
    """A program that another system calls differently is found, and nothing counts as missing."""
    parts = Parts({"CI": "true"}, which={"google-chrome": "bin/chrome"}.get)
    assert parts.need("chromium") == "bin/chrome"
    assert parts.missing == set()


def test_a_missing_part_skips_by_name() -> None:
    """On a developer's machine the test that asks is skipped, and the part is remembered."""
    parts = Parts({}, which=lambda _: None)
    with pytest.raises(pytest.skip.Exception, match="needs nginx"):
        parts.need("nginx")
    assert parts.missing == {"nginx"}


def test_a_missing_part_fails_where_ci_is_true() -> None:
    """On the build machine nothing is skipped in silence."""
    with pytest.raises(pytest.fail.Exception, match="needs nginx"):
        Parts({"CI": "true"}, which=lambda _: None).need("nginx")

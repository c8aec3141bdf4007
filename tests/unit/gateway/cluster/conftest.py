"""What every test of this room gets: a node that looks more often than it does outside, so that none waits for long.

Invariant: only times are changed, and no time that a test measures.
It must not start a server.
"""

import pytest

from gateway.cluster import directory, reading


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_SECONDS", 0.2)
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(directory, "PAUSE_SECONDS", 0.05)

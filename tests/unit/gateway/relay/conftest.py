"""What the relay's tests share.

Invariant: nobody waits for a second to pass.
It must not test anything itself, nor know what is kept or booked.
"""

import asyncio
from collections.abc import Callable

import pytest


@pytest.fixture
def put_forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes the loop's timers fire as if so many seconds had passed; nobody waits for them."""

    def put(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + seconds)

    return put

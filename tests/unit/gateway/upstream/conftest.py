"""The provider that this floor's tests talk to: a real server on a free port, which answers as each test says.

Invariant: it ends with the test, whatever it was told to say.
What it can be told stands in tests/support/provider.py.
"""

from collections.abc import AsyncIterator

import pytest

from tests.support.provider import Provider, serving


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with serving() as provider:
        yield provider

"""What the tests of the ledger on Redis share: a server for each file, emptied for each test, and a clock.

Invariant: a test finds the server as if it were new, by a line that loses what the test wants lost.
It must not know what is kept there.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.support.ledger import Time
from tests.support.redis import standing_redis
from tests.support.redis_line import Line


@pytest.fixture(scope="module")
def url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def line(url: str) -> AsyncIterator[Line]:
    """To an empty server."""
    redis = Line(url)
    await redis.call("FLUSHALL")
    yield redis
    await redis.close()

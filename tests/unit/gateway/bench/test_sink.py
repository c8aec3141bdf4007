"""One encode to await, in a pool that answers by itself.

Invariant under test: a failure and a loss are raised where the step is awaited.
It must not know workers.
"""

import asyncio

import pytest

from gateway.bench.codecs import OPUS
from gateway.bench.sink import Encoding, process_id
from gateway.errors import ServiceError
from tests.support.bench import StillPool


async def test_an_answer_is_awaited() -> None:
    """And closing closes the encode."""
    pool = StillPool()
    encoding = Encoding(pool, OPUS)
    assert (await encoding.step(b"x")).packets == ()
    encoding.close()
    assert pool.closed == 1


@pytest.mark.parametrize("lost", [False, True])
async def test_the_end_of_an_encode_is_raised(lost: bool) -> None:
    """Once: what is said after it is not heard."""
    pool = StillPool(answers=False)
    encoding = Encoding(pool, OPUS)
    step = asyncio.create_task(encoding.step(b"x"))
    await asyncio.sleep(0)
    if lost:
        encoding.lost()
    else:
        encoding.failed(ServiceError("transcoding_failed", "No."))
    encoding.lost()
    with pytest.raises(ServiceError):
        await step


def test_the_only_worker_is_found() -> None:
    """By the name that the pool has for it."""
    assert process_id(StillPool()) == 4711

"""Tests of the thread behind the ledger: together or not at all, in order, bounded, and never silent.

Invariant under test: every step that was taken is answered, whatever becomes of its transaction, its caller or its
loop; whatever fails, the next transaction is tried afresh.
It must not know what a ledger does.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.errors import RequestError, ServiceError
from gateway.quota.sqlite_schema import connect
from gateway.quota.sqlite_store import SqliteStore
from gateway.quota.sqlite_thread import MOST_TOGETHER, SqliteThread
from tests.support.ledger import ACME

TENANT = ACME.tenant
Make = Callable[..., Awaitable[SqliteThread]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """`await make()` is a running thread on this test's file; `connector` is how it comes to a connection."""
    made: list[SqliteThread] = []

    async def build(
        connector: Callable[[], sqlite3.Connection] = lambda: connect(str(tmp_path / "usage.db"), 1.0),
        *,
        patience_seconds: float = 20.0,
        most_waiting: int = 1000,
    ) -> SqliteThread:
        thread = SqliteThread(
            "test", connector, "BEGIN IMMEDIATE", patience_seconds=patience_seconds, most_waiting=most_waiting
        )
        made.append(thread)
        await asyncio.to_thread(thread.start)
        return thread

    yield build
    for thread in made:
        await thread.close()


class Gate:
    """A step that holds the thread until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, store: SqliteStore) -> str:
        self.reached.set()
        assert self.opened.wait(20)
        return "through"

    async def held(self) -> None:
        await asyncio.to_thread(self.reached.wait, 20)


def use(store: SqliteStore) -> None:
    store.use(TENANT, "day", 1, 0)


def count(store: SqliteStore) -> int:
    return store.used(TENANT, "day").audio


async def test_what_waits_goes_together(make: Make, tmp_path: Path) -> None:
    """In order, in as few transactions as there may be, and each with its own answer."""
    said: list[str] = []

    def connect_and_listen() -> sqlite3.Connection:
        connection = connect(str(tmp_path / "usage.db"), 1.0)
        connection.set_trace_callback(said.append)
        return connection

    thread = await make(connect_and_listen)
    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()

    def step(store: SqliteStore) -> int:
        use(store)
        return count(store)

    asked = [asyncio.ensure_future(thread.ask(step)) for _ in range(2 * MOST_TOGETHER)]
    await asyncio.sleep(0)
    gate.opened.set()
    assert await first == "through"
    assert await asyncio.gather(*asked) == list(range(1, 2 * MOST_TOGETHER + 1))
    assert said.count("COMMIT") == said.count("BEGIN IMMEDIATE") == 3


async def test_a_refusal_is_its_callers_alone(make: Make) -> None:
    """What else is in the transaction is kept."""
    thread = await make()

    def refuse(store: SqliteStore) -> None:
        raise RequestError("invalid_request", "No.")

    answers = await asyncio.gather(thread.ask(use), thread.ask(refuse), thread.ask(use), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), RequestError, type(None)]
    assert await thread.ask(count) == 2


async def test_a_fault_is_left_out(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it is written, the others are made again without it, and it is in the log."""
    thread = await make()
    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()

    def fail(store: SqliteStore) -> None:
        use(store)
        raise ValueError("a bug")

    asked = [asyncio.ensure_future(thread.ask(one)) for one in (use, fail, use, fail, count)]
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), ValueError, type(None), ValueError, int]
    assert answers[4] == 2
    assert [record.getMessage() for record in caplog.records] == ["ledger.step_failed"] * 2
    with pytest.raises(ValueError, match="a bug"):
        await thread.ask(fail)


async def test_a_transaction_that_fails(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """All that were in it hear so, nothing of it stays, and the next one is made on a new connection."""
    thread = await make()

    def break_it(store: SqliteStore) -> None:
        use(store)
        raise sqlite3.OperationalError("the disk is gone")

    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()
    asked = [asyncio.ensure_future(thread.ask(one)) for one in (use, break_it)]
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, ServiceError)
        assert (answer.code, answer.retry_after) == ("ledger_unavailable", 1.0)
        assert "has failed" in answer.message
    assert caplog.record_tuples == [("wavegate.ledger", logging.WARNING, "ledger.failed")]
    assert caplog.records[0].__dict__["fields"] == {"reason": "the disk is gone"}
    assert await thread.ask(count) == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_BUSY, "is locked by another program"),
        (sqlite3.SQLITE_FULL, "has no room left"),
        (sqlite3.SQLITE_READONLY | 3 << 8, "may not be written to"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_NOTADB, "is damaged"),
        (sqlite3.SQLITE_IOERR, "has failed"),
    ],
)
async def test_what_is_said_of_it(make: Make, code: int, words: str) -> None:
    """A sentence for people; the path of the file is not in it."""

    def broken() -> sqlite3.Connection:
        trouble = sqlite3.OperationalError("/secret/usage.db")
        trouble.sqlite_errorcode = code
        raise trouble

    thread = await make(broken)
    with pytest.raises(ServiceError, match=words) as refusal:
        await thread.ask(use)
    assert "secret" not in refusal.value.message


async def test_a_connection_that_cannot_be_made_at_all(make: Make) -> None:
    """Whatever is wrong with it, the thread lives on."""

    def broken() -> sqlite3.Connection:
        raise ValueError("embedded null byte")

    thread = await make(broken)
    for _ in range(2):
        with pytest.raises(ServiceError, match="has failed"):
            await thread.ask(use)


async def test_the_line_is_bounded(make: Make) -> None:
    """Who finds it full is refused at once, and what is only posted is left."""
    thread = await make(most_waiting=2)
    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()
    asked = [asyncio.ensure_future(thread.ask(use)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ServiceError, match="more to do than it can"):
        await thread.ask(use)
    thread.post(use)
    gate.opened.set()
    await asyncio.gather(first, *asked)
    assert await thread.ask(count) == 2


async def test_waiting_ends(make: Make) -> None:
    """A caller that has waited long enough is told; its step is made all the same, and the thread goes on."""
    thread = await make(patience_seconds=0.01)
    gate = Gate()
    with pytest.raises(ServiceError, match="does not answer"):
        await thread.ask(gate)
    thread.post(use)
    gate.opened.set()
    await _until(thread, 1)


async def _until(thread: SqliteThread, expected: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await thread.ask(count) == expected:
                    return
            except ServiceError:  # on a busy machine an answer may take longer than this thread's patience
                continue


async def test_nobody_is_there_to_hear(make: Make) -> None:
    """A caller that was cancelled, and one whose loop is closed: their steps are made, and nothing breaks."""
    thread = await make()
    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()
    cancelled = asyncio.ensure_future(thread.ask(use))
    await asyncio.sleep(0)
    cancelled.cancel()

    def elsewhere() -> None:
        async def main() -> None:
            task = asyncio.ensure_future(thread.ask(use))
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(main())

    await asyncio.to_thread(elsewhere)
    gate.opened.set()
    await first
    assert await thread.ask(count) == 2
    assert cancelled.cancelled()


async def test_closing_makes_what_waits(make: Make, tmp_path: Path) -> None:
    """To the last step; then it takes nothing more. A second close does nothing."""
    thread = await make()
    gate = Gate()
    first = asyncio.ensure_future(thread.ask(gate))
    await gate.held()
    asked = [asyncio.ensure_future(thread.ask(use)) for _ in range(300)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(thread.close())
    await asyncio.sleep(0)
    with pytest.raises(ServiceError):
        await thread.ask(use)
    gate.opened.set()
    await asyncio.gather(first, closing, *asked)
    await thread.close()
    again = await make()
    assert await again.ask(count) == 300


async def test_a_thread_that_does_not_end(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """It is left behind, with a word in the log; when it ends after all, whoever has asked for it may be gone."""
    thread = await make(patience_seconds=0.01)
    gate = Gate()
    with pytest.raises(ServiceError):
        await thread.ask(gate)
    await thread.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    gate.opened.set()
    await asyncio.to_thread(thread._thread.join, 20)
    assert not thread._thread.is_alive()


async def test_a_loop_that_asked_for_the_end_and_left(make: Make) -> None:
    """The thread ends in good order."""
    thread = await make(patience_seconds=0.01)
    gate = Gate()

    def elsewhere() -> None:
        async def main() -> None:
            with pytest.raises(ServiceError):
                await thread.ask(gate)
            await thread.close()

        asyncio.run(main())

    await asyncio.to_thread(elsewhere)
    gate.opened.set()
    await asyncio.to_thread(thread._thread.join, 20)
    assert not thread._thread.is_alive()


async def test_one_that_never_began(tmp_path: Path) -> None:
    """There is nothing to close."""
    thread = SqliteThread(
        "test", lambda: connect(str(tmp_path / "usage.db"), 1.0), "BEGIN", patience_seconds=1.0, most_waiting=1
    )
    await thread.close()

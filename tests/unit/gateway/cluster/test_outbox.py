"""What a node sends, on a real server that is cut off, stopped, killed and started again.

Invariant under test: a log's entries are there in order and once, or it is lost; a letter is sent once or undelivered.
It must not know who reads.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
import pytest_asyncio

from gateway.cluster import logs, outbox
from gateway.cluster.keys import inbox_of
from gateway.cluster.logs import PublishedLog
from gateway.cluster.outbox import Outbox
from gateway.errors import ServiceError
from gateway.redis.connection import Command, Redis
from tests.support.cluster import SECONDS, answer, eventually, running
from tests.support.redis import RedisServer, redis_server


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


@pytest_asyncio.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis(server.url) as redis:
        yield redis


class Sending:
    """An outbox, one log in it, and what was called."""

    def __init__(self, redis: Redis, **options: int) -> None:
        self.redis = redis
        self.outbox = Outbox(redis, **options)
        self.calls: list[str] = []
        self.log = self.publish("log")

    def publish(self, key: str) -> PublishedLog:
        return self.outbox.publish(key, lambda: self.calls.append("drained"), lambda: self.calls.append("lost"))

    def writable(self) -> bool:
        return self.log.writable

    async def entries(self, key: str = "log") -> list[bytes]:
        """What Redis has."""
        return [fields[b"e"] for _, fields in await self.redis.call("XRANGE", key, "-", "+")]

    async def until(self, *entries: bytes, key: str = "log") -> None:
        """Until Redis has just these."""
        await answer(lambda: self.entries(key), lambda given: given == [b"", *entries])


@pytest_asyncio.fixture
async def sending(redis: Redis) -> AsyncIterator[Sending]:
    sending = Sending(redis)
    async with running(sending.outbox.run):
        yield sending


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_entries_of_many_logs_are_there_in_order(sending: Sending) -> None:
    others = [sending.publish(f"log {number}") for number in range(5)]
    for entry in numbers(300):
        for log in (sending.log, *others):
            log.append(entry)
    assert not sending.writable()
    for number in range(5):
        await sending.until(*numbers(300), key=f"log {number}")
    await sending.until(*numbers(300))
    assert sending.writable()
    assert sending.calls == ["drained"] * 6
    assert 0 < await sending.redis.call("PTTL", "log") <= logs.EXPIRY_SECONDS * 1000


async def test_one_batch_holds_only_so_much(sending: Sending) -> None:
    sent: list[int] = []
    batch = sending.redis.batch

    async def noting(commands: list[tuple[object, ...]]) -> object:
        sent.append(sum(len(command[-1]) for command in commands if isinstance(command[-1], bytes)))
        return await batch(commands)  # type: ignore[arg-type]  # what it is given is handed on

    sending.redis.batch = noting  # type: ignore[method-assign,assignment]  # only looked at
    data = [bytes([number]) * 100_000 for number in range(8)]
    others = [sending.publish(f"log {number}") for number in range(10)]
    for log in others:
        for entry in data:
            log.append(entry)
    for number in range(10):
        await sending.until(*data, key=f"log {number}")
    assert max(sent) < outbox.ROUND_OCTETS + 2 * logs.BATCH_OCTETS
    assert len(sent) >= 8


async def test_a_letter_that_names_a_log_comes_after_it(redis: Redis) -> None:
    sending = Sending(redis)
    await redis.call("XADD", inbox_of("n"), "*", "l", b"")
    for number in range(3):
        sending.outbox.post("n", b"%d" % number)
        sending.publish(f"log {number}").append(b"e")
    # More begins than goes into one batch.
    for number in range(12):
        log = sending.publish(f"large {number}")
        for _ in range(3):
            log.append(bytes(logs.BATCH_OCTETS))
    commands: list[str] = []
    batch = redis.batch

    async def noting(given: list[tuple[object, ...]]) -> object:
        answers = await batch(given)  # type: ignore[arg-type]  # what it is given is handed on
        commands.extend(str(command[1]) for command in given if command[0] == "XADD")
        return answers

    redis.batch = noting  # type: ignore[method-assign,assignment]  # only looked at
    async with running(sending.outbox.run):
        await eventually(lambda: commands.count(inbox_of("n")) == 3)
    first_letter = commands.index(inbox_of("n"))
    assert {f"large {number}" for number in range(12)} <= set(commands[:first_letter])
    letters = await redis.call("XRANGE", inbox_of("n"), "-", "+")
    assert [fields[b"l"] for _, fields in letters] == [b"", b"0", b"1", b"2"]


async def test_a_letter_to_nobody_is_undelivered(sending: Sending) -> None:
    undelivered: list[int] = []
    sending.outbox.post("nobody", b"x", lambda: undelivered.append(1))
    sending.outbox.post("nobody", b"x")
    await eventually(lambda: undelivered)
    assert await sending.redis.call("EXISTS", inbox_of("nobody")) == 0


async def test_a_letter_may_be_tried_again(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, undelivered = inbox_of("n"), list[str]()
    await sending.until()
    await sending.redis.call("XADD", inbox, "*", "l", b"first")
    failures = 2

    async def fails(commands: Sequence[Command]) -> object:
        nonlocal failures
        failures -= 1
        if failures == 0:
            monkeypatch.undo()
        raise ServiceError("cluster_unavailable", "As if it had been cut off.")

    monkeypatch.setattr(sending.redis, "batch", fails)
    sending.outbox.post("n", b"question", lambda: undelivered.append("question"))
    sending.outbox.post("n", b"answer", lambda: undelivered.append("answer"), 2)
    sending.outbox.post("n", b"important", lambda: undelivered.append("important"), 3)
    await answer(lambda: sending.redis.call("XLEN", inbox), lambda length: length == 2)
    assert [fields[b"l"] for _, fields in await sending.redis.call("XRANGE", inbox, "-", "+")] == [
        b"first",
        b"important",
    ]
    assert undelivered == ["question", "answer"]


async def test_more_letters_than_may_wait_are_undelivered_at_once(redis: Redis) -> None:
    sending, undelivered = Sending(redis), list[int]()
    for number in range(outbox.WAITING_LETTERS + 1):
        sending.outbox.post("n", b"x", partial(undelivered.append, number))
    assert undelivered == [outbox.WAITING_LETTERS]
    sending, undelivered = Sending(redis), []
    for number in range(3):
        sending.outbox.post("n", bytes(outbox.WAITING_OCTETS // 2), partial(undelivered.append, number))
    assert undelivered == [2]


async def test_a_name_is_used_once(sending: Sending) -> None:
    with pytest.raises(ValueError, match="already"):
        sending.publish("log")


async def test_what_is_closed_is_deleted(sending: Sending) -> None:
    sending.log.append(b"a")
    await sending.until(b"a")
    sending.log.close()
    sending.publish("never sent").close()
    await answer(lambda: sending.redis.call("EXISTS", "log", "never sent"), lambda number: number == 0)
    await eventually(lambda: not sending.outbox.keys)
    assert not sending.calls


async def test_idle_is_when_all_has_been_sent(sending: Sending) -> None:
    for entry in numbers(200):
        sending.log.append(entry)
    await asyncio.wait_for(sending.outbox.idle(), SECONDS)
    assert len(await sending.entries()) == 201
    await asyncio.wait_for(sending.outbox.idle(), SECONDS)


async def test_what_is_old_goes(redis: Redis) -> None:
    sending = Sending(redis, kept_octets=100_000)
    async with running(sending.outbox.run):
        for _ in range(100):
            sending.log.append(bytes(10_000))
        await answer(
            lambda: redis.call("XREVRANGE", "log", "+", "-", "COUNT", 1), lambda last: last and last[0][0] == b"101-0"
        )
        assert 10 <= await redis.call("XLEN", "log") <= 20


async def test_a_cut_connection_costs_nothing(server: RedisServer, sending: Sending) -> None:
    async with Redis(server.url) as other:
        for entry in numbers(200):
            sending.log.append(entry)
            if int(entry) % 20 == 0:
                await other.call("CLIENT", "KILL", "TYPE", "normal")
            if int(entry) % 3 == 0:
                await asyncio.sleep(0.001)
    await sending.until(*numbers(200))
    assert "lost" not in sending.calls


async def test_what_breaks_in_it_is_told_and_sending_goes_on(
    sending: Sending, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*args: object) -> None:
        monkeypatch.undo()
        raise KeyError("a mistake of ours")

    await sending.until()
    monkeypatch.setattr(sending.redis, "batch", breaks)
    sending.log.append(b"a")
    await sending.until(b"a")
    assert "a mistake of ours" in caplog.text


async def test_redis_that_stands_still_costs_nothing(server: RedisServer) -> None:
    async with Redis(server.url, timeout=0.2) as redis:
        sending, undelivered = Sending(redis), list[str]()
        async with running(sending.outbox.run):
            sending.log.append(b"a")
            await sending.until(b"a")
            server.stop_answering()
            for entry in (b"b", b"c"):
                sending.log.append(entry)
            sending.outbox.post("nobody", b"", lambda: undelivered.append("x"))
            await eventually(lambda: redis.away and undelivered)
            sending.log.append(b"d")
            server.answer_again()
            await sending.until(b"a", b"b", b"c", b"d")
            assert "lost" not in sending.calls


async def test_what_waits_while_redis_is_away_is_bounded_by_writable(server: RedisServer, sending: Sending) -> None:
    await sending.until()
    server.stop_answering()
    appended = 0
    while sending.log.writable:
        sending.log.append(b"%d" % appended)
        appended += 1
    assert appended <= logs.PENDING_ENTRIES
    server.answer_again()
    await sending.until(*numbers(appended))
    assert sending.calls == ["drained"]


async def test_what_was_not_taken_while_redis_was_away_is_begun_when_it_is_back(server: RedisServer) -> None:
    await server.kill()
    async with Redis(server.url) as redis:
        sending = Sending(redis)
        sending.log.append(b"a")
        async with running(sending.outbox.run):
            await eventually(lambda: redis.away)
            await server.start()
            await sending.until(b"a")
            assert not sending.calls


@pytest.mark.parametrize("says_something", [True, False])
async def test_a_log_that_redis_has_forgotten_is_lost(
    server: RedisServer, sending: Sending, says_something: bool
) -> None:
    sending.log.append(b"a")
    await sending.until(b"a")
    await server.kill()
    await server.start()
    if says_something:
        sending.log.append(b"b")
    else:
        # As a sign of life does it that finds itself forgotten.
        sending.outbox.doubt()
    await eventually(lambda: sending.calls)
    assert sending.calls == ["lost"]
    again = sending.publish("log 2")
    again.append(b"c")
    await sending.until(b"c", key="log 2")
    assert await sending.redis.call("EXISTS", "log") == 0


async def test_logs_are_kept_alive_and_one_that_is_gone_is_noticed(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "EXPIRY_SECONDS", 0.2)
    sending = Sending(redis)
    async with running(sending.outbox.run):
        await sending.until()
        await redis.call("PEXPIRE", "log", 20_000)
        await answer(lambda: redis.call("PTTL", "log"), lambda milliseconds: milliseconds > 20_000)
        await redis.call("DEL", "log")
        await eventually(lambda: sending.calls)
        assert sending.calls == ["lost"]

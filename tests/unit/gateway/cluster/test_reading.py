"""What a node reads, on a real server that is cut off, stopped, killed and started again.

Invariant under test: a log is read in order and without a hole, or it is lost, once; nothing comes after `close`.
It must not know who writes: entries are put there by hand, as an outbox does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
import pytest_asyncio

from gateway.cluster import reading
from gateway.cluster.keys import inbox_of, log_of
from gateway.cluster.reading import Following, Reading
from gateway.redis.connection import Command, Redis
from tests.support.cluster import Notes, answer, eventually, running
from tests.support.redis import RedisServer, redis_server

INBOX = inbox_of("me")


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


class Readings:
    """A reading that runs, what its inbox gave, and logs that others write."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.letters: list[bytes] = []
        self.wakes: list[asyncio.Task[object]] = []
        self.reading = Reading(redis, "me", self.letters.append, self._wake)

    def _wake(self) -> None:
        self.wakes.append(asyncio.ensure_future(self.redis.call("XADD", INBOX, "*", "l", b"")))

    async def begin(self, *names: str, first: int = 1) -> None:
        await self.redis.batch([("XADD", log_of("other", name), f"{first}-0", b"e", b"") for name in names])

    async def write(self, name: str, entries: Sequence[bytes], first: int = 2) -> None:
        commands: list[Command] = [
            ("XADD", log_of("other", name), f"{number}-0", b"e", entry) for number, entry in enumerate(entries, first)
        ]
        for at in range(0, len(commands), 500):
            await answer(partial(self.redis.batch, commands[at : at + 500]))

    def follow(self, name: str, notes: Notes) -> Following:
        return self.reading.follow("other", name, notes)


@pytest_asyncio.fixture
async def readings(server: RedisServer) -> AsyncIterator[Readings]:
    async with Redis(server.url) as redis:
        readings = Readings(redis)
        async with running(readings.reading.run):
            yield readings
        await asyncio.gather(*readings.wakes, return_exceptions=True)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_entries_come_in_order_and_as_they_are_written(readings: Readings) -> None:
    notes = [Notes() for _ in range(20)]
    await readings.begin(*(f"log {number}" for number in range(20)))
    for number, note in enumerate(notes):
        readings.follow(f"log {number}", note)
    for number in range(20):
        await readings.write(f"log {number}", numbers(50))
    for note in notes:
        assert await note.until(50) == numbers(50)
    assert not any(note.losses for note in notes)


async def test_a_read_of_many_logs_waits_for_entries_to_come_together(readings: Readings) -> None:
    names = [f"log {number}" for number in range(100)]
    await readings.begin(*names)
    notes = [Notes() for _ in names]
    for name, note in zip(names[:20], notes, strict=False):
        readings.follow(name, note)
    await eventually(lambda: not readings.reading._behind)
    assert readings.reading._pace() < reading.LEAST_PACE_SECONDS
    for name, note in zip(names[20:], notes[20:], strict=True):
        readings.follow(name, note)
    # Whoever is behind waits for nothing.
    assert readings.reading._pace() == 0.0
    await eventually(lambda: not readings.reading._behind)
    assert readings.reading._pace() == pytest.approx(0.002)
    for name in names:
        await readings.write(name, [b"a"])
    for note in notes:
        assert await note.until(1) == [b"a"]


async def test_a_long_backlog_comes_whole_and_lets_others_have_turns(readings: Readings) -> None:
    await readings.begin("long", "short")
    await readings.write("long", numbers(1000))
    long, short = Notes(), Notes()
    readings.follow("long", long)
    readings.follow("short", short)
    await readings.write("short", [b"x"])
    await short.until(1)
    assert len(long.entries) < 1000
    assert await long.until(1000) == numbers(1000)


async def test_a_log_that_is_followed_while_others_are_waited_for_is_read_at_once(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_SECONDS", 60.0)
    await eventually(lambda: readings.reading._blocked)
    await readings.begin("log")
    await readings.write("log", [b"a"])
    notes = Notes()
    readings.follow("log", notes)
    assert readings.wakes
    assert await notes.until(1) == [b"a"]


async def test_letters_come_and_what_is_empty_is_none(readings: Readings) -> None:
    for octets in (b"a", b"", b"\xff\x00"):
        last = await readings.redis.call("XADD", INBOX, "*", "l", octets)
    await readings.redis.call("XADD", INBOX, "*", "other", b"what a later version writes")
    await eventually(lambda: len(readings.letters) == 2)
    assert readings.letters == [b"a", b"\xff\x00"]
    await eventually(lambda: readings.reading.read_up_to > last)


async def test_a_log_that_is_not_there_is_lost(readings: Readings) -> None:
    notes = Notes()
    readings.follow("none", notes)
    assert await notes.until_lost() == [False]


async def test_a_log_that_is_deleted_is_lost_and_others_are_not(readings: Readings) -> None:
    await readings.begin("one", "two")
    one, two = Notes(), Notes()
    readings.follow("one", one)
    readings.follow("two", two)
    await readings.write("one", [b"a"])
    await one.until(1)
    await readings.redis.call("DEL", log_of("other", "one"))
    assert await one.until_lost() == [False]
    await readings.write("two", [b"b"])
    await two.until(1)
    assert not two.losses


@pytest.mark.parametrize("first", [2, 3])
async def test_a_log_of_which_the_beginning_is_gone_is_lost(readings: Readings, first: int) -> None:
    await readings.begin("log", first=first)
    notes = Notes()
    readings.follow("log", notes)
    assert await notes.until_lost() == [False]
    assert not notes.entries


async def test_a_hole_is_a_loss(readings: Readings) -> None:
    await readings.begin("log")
    notes = Notes()
    readings.follow("log", notes)
    await readings.write("log", [b"a"])
    await readings.write("log", [b"c"], first=4)
    assert await notes.until_lost() == [False]
    assert notes.entries == [b"a"]


async def test_nothing_comes_after_close(readings: Readings) -> None:
    await readings.begin("log", "log 2")
    await readings.write("log", numbers(100))

    class Once(Notes):
        def entry(self, entry: bytes) -> None:
            super().entry(entry)
            following.close()

    notes, other = Once(), Notes()
    following = readings.follow("log", notes)
    closed = readings.follow("log 2", other)
    closed.close()
    closed.close()
    missing = readings.follow("none", other)
    missing.close()
    await notes.until(1)
    # It may be followed again, from its beginning.
    again = Notes()
    readings.follow("log", again)
    assert await again.until(100) == numbers(100)
    readings.reading.lost("other")
    assert again.losses == [True]
    assert (notes.entries, notes.losses, other.entries, other.losses) == ([b"0"], [], [], [])


async def test_a_log_is_followed_once_at_a_time(readings: Readings) -> None:
    readings.follow("log", Notes())
    with pytest.raises(ValueError, match="already"):
        readings.follow("log", Notes())


async def test_a_reader_that_breaks_harms_no_other(readings: Readings, caplog: pytest.LogCaptureFixture) -> None:
    await readings.begin("one", "two")
    bad, good = Notes(breaks=True), Notes()
    readings.follow("one", bad)
    readings.follow("two", good)
    await readings.write("one", [b"a", b"b"])
    await readings.write("two", [b"a", b"b"])
    await good.until(2)
    await eventually(lambda: "breaks again" in caplog.text)
    assert (bad.entries, bad.losses) == ([b"a"], [False])


async def test_the_logs_of_a_dead_node_are_lost(readings: Readings) -> None:
    await readings.begin("one")
    notes, strangers = Notes(), Notes()
    readings.follow("one", notes)
    readings.reading.follow("stranger", "log", strangers)
    readings.reading.lost("other")
    assert notes.losses == [True]
    assert strangers.losses in ([], [False])


async def test_the_logs_of_a_node_that_left_are_read_to_their_ends(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_SECONDS", 60.0)
    await readings.begin("one", "two")
    one, two, stays = Notes(), Notes(), Notes()
    readings.follow("one", one)
    await readings.redis.call("XADD", log_of("third", "three"), "1-0", b"e", b"")
    readings.reading.follow("third", "three", stays)
    await eventually(lambda: readings.reading._blocked and not readings.reading._behind)
    await readings.write("one", numbers(500))
    # Followed when it is gone already, and read all the same.
    readings.follow("two", two)
    readings.reading.left("other")
    assert await one.until_lost() == [True]
    assert one.entries == numbers(500)
    assert await two.until_lost() == [True]
    assert not stays.losses


async def test_a_node_that_nobody_has_heard_of_is_dead(readings: Readings) -> None:
    await readings.begin("one")
    notes = Notes()
    readings.follow("one", notes)
    readings.reading.living({"me"})
    readings.reading.living({"me", "other"})
    readings.reading.living({"me"})
    assert not notes.losses
    readings.reading.living({"me"})
    readings.reading.living({"me"})
    assert notes.losses == [True]


async def test_what_breaks_in_it_is_told_and_reading_goes_on(
    readings: Readings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*args: object) -> None:
        monkeypatch.undo()
        raise KeyError("a mistake of ours")

    await readings.begin("log")
    monkeypatch.setattr(readings.redis, "batch", breaks)
    notes = Notes()
    readings.follow("log", notes)
    await eventually(lambda: "a mistake of ours" in caplog.text)
    await readings.write("log", [b"a"])
    assert await notes.until(1) == [b"a"]


async def test_a_cut_connection_costs_nothing(server: RedisServer, readings: Readings) -> None:
    await readings.begin("log")
    notes = Notes()
    readings.follow("log", notes)
    async with Redis(server.url) as other:
        for number in range(5):
            await readings.write("log", [b"%d" % number], first=number + 2)
            await other.call("CLIENT", "KILL", "TYPE", "normal")
    assert await notes.until(5) == numbers(5)
    assert not notes.losses


async def test_redis_that_stands_still_costs_nothing(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_SECONDS", 0.1)
    async with Redis(server.url, timeout=1.0) as redis:
        readings, notes = Readings(redis), Notes()
        async with running(readings.reading.run):
            await readings.begin("log")
            readings.follow("log", notes)
            await readings.write("log", [b"a"])
            await notes.until(1)
            server.stop_answering()
            await eventually(lambda: redis.away)
            # What is followed meanwhile is read when it is back.
            late = Notes()
            readings.follow("late", late)
            server.answer_again()
            await readings.write("log", [b"b"], first=3)
            assert await notes.until(2) == [b"a", b"b"]
            assert await late.until_lost() == [False]
        await asyncio.gather(*readings.wakes, return_exceptions=True)
    assert not notes.losses


async def test_logs_that_redis_has_forgotten_are_lost(server: RedisServer, readings: Readings) -> None:
    await readings.begin("log")
    notes = Notes()
    readings.follow("log", notes)
    await readings.write("log", [b"a"])
    await notes.until(1)
    await server.kill()
    await server.start()
    assert await notes.until_lost() == [False]
    await answer(lambda: readings.begin("again"))
    again = Notes()
    readings.follow("again", again)
    await readings.write("again", [b"b"])
    assert await again.until(1) == [b"b"]

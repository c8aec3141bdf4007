"""The end in good order, by a clock that stands until a test moves it: who is told when, who is waited for, who goes.

Invariant under test: nobody who may finish is cut before the deadline, and nobody is waited for behind it.
It must not know sockets: connections, players and songs are played here, real ones end in tests/integration.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.server import drain as drain_module
from gateway.server.callers import Caller
from gateway.server.drain import Drain
from tests.support.relay import Clock, until


@dataclass(eq=False)
class Connection:
    """A connection of a session, or a player's if it has none; it hears the streams `hears`."""

    hears: tuple[str, ...] = ()
    session: bool = True
    told: list[float] = field(default_factory=list)
    sent_away: bool = False
    released: int = 0

    @property
    def busy(self) -> bool:
        return bool(self.hears) and not self.sent_away

    @property
    def listeners(self) -> list[Any]:
        return [
            SimpleNamespace(channel=SimpleNamespace(rendition=SimpleNamespace(stream_id=one))) for one in self.hears
        ]


class House:
    """All that a gateway has, as far as its end goes; time passes by `pass_by`, and never by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool = False, delay: float = 0.0) -> None:
        self.clock = Clock()
        self.there: list[Connection] = []
        self.elsewhere = elsewhere
        self.playing = False
        self.answering = False
        self.open = True
        self.life: list[tuple[str, float]] = []
        self.songs = asyncio.Event()
        self.fault: Exception | None = None
        self.streams: list[Any] = []
        self.draining = False
        self._waits: list[tuple[float, asyncio.Future[None]]] = []
        self.began = self.clock()
        monkeypatch.setattr(drain_module, "owned", lambda stream: stream.owned)
        self.drain = Drain(
            cast("Any", self),
            cast("Any", self),
            cast("Any", self),
            cast("Any", self),
            cast("Any", SimpleNamespace(drain=self._hub, streams=self.streams)),
            delay=delay,
            window=20.0,
            elsewhere=lambda: self.elsewhere,
            now=self.clock,
            sleep=self._sleep,
            shuffle=lambda connections: None,
            uniform=lambda low, high: high,
        )

    # -- time ----------------------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append((self.clock() + seconds, waiting))
        await waiting

    async def pass_by(self, seconds: float) -> None:
        """Time passes, a tick at a time."""
        end = self.clock() + seconds
        await self._settle()
        while self._waits and self._waits[0][0] <= end + 1e-9:
            at, waiting = self._waits.pop(0)
            self.clock.at = max(self.clock.at, at)
            if not waiting.done():
                waiting.set_result(None)
            await self._settle()
        self.clock.at = end

    @staticmethod
    async def _settle() -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    @property
    def at(self) -> float:
        return round(self.clock() - self.began, 3)

    # -- as hub, port, callers, connections, playbacks -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self.answering

    async def _hub(self, seconds: float) -> None:
        self.life.append(("songs end", seconds))
        if self.fault is not None:
            raise self.fault
        await self.songs.wait()

    def stop(self) -> None:
        if self.open:
            self.open = False
            self.life.append(("closed", self.at))

    def __len__(self) -> int:
        return len(self.there)

    def __iter__(self) -> Any:
        return iter(tuple(self.there))

    def sessions(self) -> list[Connection]:
        return [one for one in self.there if one.session]

    def go_away(self, connection: Connection, time_left: float) -> None:
        connection.told += [self.at, round(time_left, 3)]

    def release(self, connection: Connection) -> None:
        connection.released += 1
        if connection.session and not connection.hears:
            self.send_away(connection)

    def send_away(self, connection: Connection) -> None:
        connection.sent_away = True
        self.life.append(("sent away", self.at))
        self.there.remove(connection)


Make = Callable[..., House]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(**options: Any) -> House:
        return House(monkeypatch, **options)

    return make


@asynccontextmanager
async def ending(there: House) -> AsyncIterator[asyncio.Task[None]]:
    """The house while it ends; what is not over at the end of the test is cancelled."""
    task = asyncio.create_task(there.drain.run())
    await there.pass_by(0.0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_where_nobody_is_it_is_over_at_once(house: Make) -> None:
    """The port closes, and nothing is waited for."""
    there = house()
    there.songs.set()
    assert (there.drain.began, there.drain.under_way, there.drain.seconds_left) == (False, False, 20.0)
    async with ending(there) as task:
        await there.pass_by(0.1)
        assert task.done()
        assert there.life == [("songs end", 20.0), ("closed", 0.0)]
        assert (there.drain.began, there.drain.under_way) == (True, True)


async def test_first_a_balancer_gets_its_time(house: Make) -> None:
    """It began, and nothing is refused before the delay is over."""
    there = house(delay=5.0)
    there.there = [Connection()]
    async with ending(there):
        await there.pass_by(4.9)
        assert (there.drain.began, there.drain.under_way, there.draining) == (True, False, False)
        assert (there.life, there.there[0].told, there.drain.seconds_left) == ([], [], 20.0)
        await there.pass_by(0.2)
        assert (there.drain.under_way, there.draining) == (True, True)
        assert there.life == [("songs end", 20.0), ("closed", 5.0)]
        assert there.there[0].told == [5.0, 20.0]


async def test_sessions_are_told_over_half_of_the_window(house: Make) -> None:
    """Evenly, the first at once, each with what is left; players have no ear for it."""
    there = house()
    there.there = [Connection(("st_1",)) for _ in range(100)] + [Connection(("st_1",), session=False)]
    async with ending(there):
        await there.pass_by(19.0)
        *sessions, player = there.there
        moments = sorted(one.told[0] for one in sessions)
        assert moments == pytest.approx([number * 0.1 for number in range(100)], abs=0.11)
        assert all(one.told[0] + one.told[1] == pytest.approx(20.0) for one in sessions)
        assert (player.told, there.life) == ([], [("songs end", 20.0), ("closed", 0.0)])


async def test_who_hears_is_waited_for_and_nobody_else(house: Make) -> None:
    """Songs that run, a listener that has not all, a request that is being answered; an idle session is not."""
    there = house()
    slow, idle = Connection(("st_1",)), Connection()
    there.there = [slow, idle]
    there.answering = True
    async with ending(there) as task:
        await there.pass_by(1.0)
        there.songs.set()
        await there.pass_by(1.0)
        slow.hears = ()
        await there.pass_by(1.0)
        assert not task.done()
        there.answering = False
        await there.pass_by(0.1)
        assert task.done()
        # It is told at the very end, with everybody else.
        assert not idle.sent_away


async def test_nobody_is_waited_for_behind_the_deadline(house: Make) -> None:
    """What still runs then is left to whoever closes the house."""
    there = house()
    there.there = [Connection(("st_1",)), Connection(("st_1",), session=False)]
    async with ending(there) as task:
        await there.pass_by(19.9)
        assert not task.done()
        assert there.drain.seconds_left == pytest.approx(0.1)
        await there.pass_by(0.2)
        assert task.done()
        assert [one.sent_away for one in there.there] == [False, False]
        assert there.drain.seconds_left == 0.0


async def test_a_player_that_fetches_finds_an_open_port(house: Make) -> None:
    """Where nobody else has its song: until it has all of it, and is waited for."""
    there = house()
    there.playing = True
    there.songs.set()
    async with ending(there) as task:
        await there.pass_by(3.0)
        assert (there.open, task.done()) == (True, False)
        there.playing = False
        await there.pass_by(0.1)
        assert (there.open, task.done()) == (False, True)


async def test_a_player_that_fetches_goes_elsewhere(house: Make) -> None:
    """Where others have its song it is not waited for, and the port closes at once."""
    there = house(elsewhere=True)
    there.playing = True
    there.songs.set()
    async with ending(there) as task:
        await there.pass_by(0.1)
        assert (there.open, task.done()) == (False, True)


async def test_who_has_nothing_to_hear_goes_elsewhere_at_the_word(house: Make) -> None:
    """And who has heard all later, when it is looked at; nobody goes before it was told."""
    there = house(elsewhere=True)
    idle, hearing, last = Connection(), Connection(("st_1",)), Connection()
    # The last of them is told first.
    there.there = [last, hearing, idle]
    async with ending(there):
        await there.pass_by(0.1)
        assert [one.sent_away for one in (idle, hearing, last)] == [True, False, False]
        await there.pass_by(4.0)
        assert (hearing.told, last.sent_away) == ([3.35, 16.65], False)
        hearing.hears = ()
        await there.pass_by(1.1)
        assert (hearing.sent_away, last.sent_away, last.released) == (True, False, 0)
        await there.pass_by(3.0)
        assert last.sent_away


async def test_who_hears_what_lives_on_elsewhere_goes_in_turns(house: Make) -> None:
    """In the last moments, as many a second as a node takes; who hears a song that ends here stays for its end."""
    there = house(elsewhere=True)
    mine, ended, theirs = (
        SimpleNamespace(id=name, owned=owned, status=SimpleNamespace(final=final))
        for name, owned, final in (("mine", True, False), ("ended", True, True), ("theirs", False, False))
    )
    there.streams += [mine, ended, theirs]
    staying = [Connection(("mine",)), Connection(("theirs", "mine")), Connection((), session=False)]
    going = [Connection(("theirs",), session=number % 2 == 0) for number in range(999)] + [Connection(("ended",))]
    there.there = [*staying, *going]
    async with ending(there):
        await there.pass_by(17.8)
        assert not any(one.sent_away for one in going)
        await there.pass_by(2.1)
        moments = [at for what, at in there.life if what == "sent away"]
        assert len(moments) == 1000
        assert 17.8 < moments[0] < 18.1
        assert 19.7 < moments[-1] < 20.0
        # No tick had more than its share.
        assert max(moments.count(moment) for moment in set(moments)) <= 60
        assert [one.sent_away for one in staying] == [False] * 3


async def test_of_a_large_crowd_nobody_goes_before_the_last_quarter(house: Make) -> None:
    """However many they are."""
    there = house(elsewhere=True)
    there.there = [Connection(("theirs",)) for _ in range(3000)]
    async with ending(there):
        await there.pass_by(14.8)
        assert not any(one.sent_away for one in there.there)
        await there.pass_by(5.1)
        assert there.there == []


async def test_a_fault_comes_out_behind_a_closed_port(house: Make) -> None:
    """Of the songs' end."""
    there = house()
    there.fault = RuntimeError("a fault of ours")
    async with ending(there) as task:
        await there.pass_by(0.1)
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await task
        assert not there.open


async def test_a_second_signal_waits_for_nobody(house: Make) -> None:
    """The end is cancelled, and so is everything that it began."""
    there = house()
    there.there = [Connection(("st_1",))]
    task = asyncio.create_task(there.drain.run())
    await there.pass_by(1.0)
    task.cancel()
    await until(task.done)
    assert not there.open
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- answers -----------------------------------------------------------------------------------------------------------


def asked(protocol: object) -> web.Request:
    return cast("web.Request", SimpleNamespace(protocol=protocol))


def caller() -> Caller:
    made = Caller.__new__(Caller)
    made.leaves = None
    return made


async def ends(there: House, protocol: object) -> bool:
    response = web.Response()
    await there.drain.part(asked(protocol), response)
    return response.keep_alive is False


async def test_answers_end_their_connections(house: Make) -> None:
    """From the moment on at which nothing new is taken, and not before."""
    there = house()
    there.there = [Connection(("st_1",))]
    assert not await ends(there, caller())
    async with ending(there):
        assert await ends(there, caller())
        assert await ends(there, object())


async def test_where_there_is_an_elsewhere_each_at_its_moment(house: Make) -> None:
    """So that players do not all come back there in the same second; one that is drawn holds."""
    there = house(elsewhere=True)
    there.there = [Connection(("st_1",))]
    async with ending(there):
        await there.pass_by(2.0)
        one = caller()
        assert not await ends(there, one)
        await there.pass_by(7.8)
        assert not await ends(there, one)
        await there.pass_by(0.3)
        assert await ends(there, one)
        assert await ends(there, caller())

"""The registry of connections: who is cut and who is pinged by the one timer, and how everybody is said goodbye to.

Invariant under test: what takes nothing or answers nothing is cut when its time is over, and nothing else ever is.
It must not know what is sent on a connection.
"""

import asyncio

import pytest
from websockets.frames import Opcode

from gateway.config.schema import Config
from gateway.config.server import Server
from gateway.model import Principal, StreamId, TenantId
from gateway.protocol import frames
from gateway.relay.outcome import Bill, Outcome
from gateway.server import connections as module
from gateway.server.connections import Connections
from gateway.server.progressive import AudioConnection
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import Line, Wire, new_line, soon
from tests.support.sessions import Guest, plain, registry, session


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cuts(recorder: Recorder) -> float:
    return recorder.registry.get_sample_value("wavegate_slow_listeners_total", {"action": "cut"}) or 0.0


async def test_a_connection_is_looked_after_until_it_is_lost() -> None:
    """It counts from the moment it is added to the moment it is gone, and a second loss harms nobody."""
    connections, _, clock = registry()
    first, second = plain(clock)[0], plain(clock)[0]
    connections.add(first)
    connections.add(second)
    assert len(connections) == 2
    first.connection_lost(None)
    first.connection_lost(None)
    assert len(connections) == 1
    second.connection_lost(None)
    assert len(connections) == 0


# -- the sweep ---------------------------------------------------------------------------------------------------------


async def test_what_takes_nothing_for_too_long_is_cut() -> None:
    """Not at the end of its time but past it; the session hears 4102 first, and each cut is counted."""
    connections, recorder, clock = registry()
    guest = Guest()
    (http, http_wire), (silent, silent_wire) = plain(clock), plain(clock)
    line = new_line(clock=clock)
    connections.add(http)
    connections.add(silent)
    connections.add(line.connection, session(guest))
    http.pause_writing()
    line.connection.pause_writing()
    clock.at += 60.0
    connections.sweep()
    assert not http_wire.aborted.is_set()
    assert not line.wire.aborted.is_set()
    clock.at += 0.5
    connections.sweep()
    assert http_wire.aborted.is_set()
    assert not line.wire.aborted.is_set(), "its closing handshake has a time of its own"
    assert not silent_wire.aborted.is_set(), "a player has nothing to say and takes what there is"
    assert [error.code for error in guest.closed] == ["too_slow"]
    assert cuts(recorder) == 2.0


async def test_what_takes_something_now_and_then_is_not_stalled() -> None:
    """Each byte taken begins the time anew."""
    connections, recorder, clock = registry()
    connection, wire = plain(clock)
    connections.add(connection)
    for _ in range(5):
        connection.pause_writing()
        clock.at += 59.0
        connections.sweep()
        connection.resume_writing()
    assert not wire.aborted.is_set()
    assert cuts(recorder) == 0.0


async def test_a_player_that_does_not_take_the_last_of_its_song_is_cut() -> None:
    """Behind the end a body waits in the socket for its reader, below any water mark: that wait is bounded too."""
    connections, _, clock = registry()
    wire = Wire()
    connection = AudioConnection(clock, frames.chunked, lambda parting: None, Principal(TenantId("acme"), "k"))
    connection.connection_made(wire)
    connections.add(connection)
    connection.ended(Outcome(StreamId("st_1"), None, 1.0, 1, 1, "", Bill(1.0, settled=True)))
    assert wire.ended
    clock.at += 60.5
    connections.sweep()
    clock.at += 60.5
    connections.sweep()
    assert wire.aborted.is_set()


async def test_a_websocket_that_answers_no_ping_is_cut() -> None:
    """A ping and the time for its answer: past that, silence is the end, which is nobody's slowness."""
    connections, recorder, clock = registry()
    line = new_line(clock=clock)
    connections.add(line.connection, session(Guest()))
    clock.at += 20.0
    connections.ping(10)
    clock.at += 40.0
    connections.sweep()
    assert not line.wire.aborted.is_set()
    clock.at += 1.0
    connections.sweep()
    assert line.wire.aborted.is_set()
    assert cuts(recorder) == 0.0


async def test_a_websocket_that_answers_stays() -> None:
    """A pong is a sign of life, and so is any message."""
    connections, _, clock = registry()
    line = new_line(clock=clock)
    connections.add(line.connection)
    for _ in range(10):
        clock.at += 20.0
        assert not connections.ping(10)
        assert [frame.opcode for frame in line.heard()] == [Opcode.PING]
        line.deliver()
        connections.sweep()
    assert not line.wire.aborted.is_set()


async def test_a_slow_websocket_that_was_never_asked_is_not_silent() -> None:
    """One that takes its audio slowly, and is full each time the pings go out, has left no ping unanswered."""
    connections, _, clock = registry()
    line = new_line(clock=clock)
    connections.add(line.connection)
    line.connection.pause_writing()
    for second in range(1, 121):
        clock.at += 1.0
        connections.sweep()
        if second % 20 == 0:
            connections.ping(10)
        line.connection.resume_writing()
        line.connection.pause_writing()
    assert line.heard() == [], "no ping has gone out"
    assert not line.wire.aborted.is_set()


async def test_an_open_question_is_not_renewed_by_the_next(clock: Clock) -> None:
    """Who was asked twice has the time of the first question; who answered the first, that of the second."""
    connections, _, _ = registry(clock)
    silent, late = new_line(clock=clock), new_line(clock=clock)
    connections.add(silent.connection)
    connections.add(late.connection)
    clock.at += 20.0
    connections.ping(10)
    late.heard()
    late.deliver()
    clock.at += 20.0
    connections.ping(10)
    clock.at += 20.5
    connections.sweep()
    assert silent.wire.aborted.is_set()
    assert not late.wire.aborted.is_set()
    clock.at += 20.0
    connections.sweep()
    assert late.wire.aborted.is_set()


async def test_who_was_asked_first_and_has_answered_hides_nobody(clock: Clock) -> None:
    """Those that wait stand in order, and one that no longer waits is passed over, for pings and for stalls."""
    connections, recorder, _ = registry(clock)
    first, second = new_line(clock=clock), new_line(clock=clock)
    (quick, quick_wire), (slow, slow_wire) = plain(clock), plain(clock)
    for connection in (first.connection, second.connection, quick, slow):
        connections.add(connection)
    clock.at += 20.0
    connections.ping(10)
    first.heard()
    first.deliver()
    quick.pause_writing()
    slow.pause_writing()
    quick.resume_writing()
    clock.at += 60.5
    connections.sweep()
    assert [line.wire.aborted.is_set() for line in (first, second)] == [False, True]
    assert [wire.aborted.is_set() for wire in (quick_wire, slow_wire)] == [False, True]
    assert cuts(recorder) == 1.0


async def test_one_that_came_stalled_is_waited_for(clock: Clock) -> None:
    """A connection may have been full before anybody looked after it."""
    connections, recorder, _ = registry(clock)
    connection, wire = plain(clock)
    connection.pause_writing()
    connections.add(connection)
    clock.at += 60.5
    connections.sweep()
    assert wire.aborted.is_set()
    assert cuts(recorder) == 1.0


async def test_pings_go_out_a_few_at_a_time(clock: Clock) -> None:
    """So that thousands of them delay nobody's audio: whoever is left over is told of."""
    connections, _, _ = registry(clock)
    lines = [new_line(clock=clock) for _ in range(5)]
    for line in lines:
        connections.add(line.connection)
    clock.at += 20.0
    assert connections.ping(3)
    assert [len(line.heard()) for line in lines] == [1, 1, 1, 0, 0]
    assert not connections.ping(3)
    assert [len(line.heard()) for line in lines] == [0, 0, 0, 1, 1]


async def test_a_session_that_has_reached_its_age_is_asked_to_come_back(clock: Clock) -> None:
    """With 4201, once; a player has no session, and younger ones stay."""
    connections = Connections(Config(server=Server(session_lifetime=100.0)), Recorder(), clock)
    old, young = Guest(), Guest()
    connections.add(plain(clock)[0])
    connections.add(plain(clock)[0], session(old))
    clock.at += 50.0
    connections.add(plain(clock)[0], session(young))
    clock.at += 50.0
    connections.sweep()
    assert (old.closed, young.closed) == ([], [])
    clock.at += 1.0
    connections.sweep()
    connections.sweep()
    assert [(error.code, error.handling.close) for error in old.closed] == [("credentials_expired", 4201)]
    assert young.closed == []


# -- the timer ---------------------------------------------------------------------------------------------------------


async def test_one_timer_pings_everybody_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is pinged before the interval, everybody at it, again after the next, and the loop's lag is measured."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0.0)
    connections, recorder, clock = registry()
    lines = [new_line(clock=clock) for _ in range(3)]
    for line in lines:
        connections.add(line.connection)
    connections.add(plain(clock)[0])

    def ticks() -> float:
        return recorder.registry.get_sample_value("wavegate_event_loop_lag_seconds_count") or 0.0

    async def tick() -> None:
        before = ticks()
        await soon(lambda: ticks() >= before + 2)

    def pinged(line: Line) -> bool:
        return [frame.opcode for frame in line.heard()] == [Opcode.PING]

    timer = asyncio.create_task(connections.run())
    await tick()
    for _ in range(2):
        clock.at += 19.0
        await tick()
        assert not any(pinged(line) for line in lines)
        clock.at += 1.0
        await tick()
        assert all(pinged(line) for line in lines)
        for line in lines:
            line.deliver()
    timer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await timer


async def test_a_clock_that_stands_is_no_negative_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """How late the loop is is never less than nothing, and a late one is measured."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)
    connections, recorder, clock = registry()

    def value(name: str) -> float:
        return recorder.registry.get_sample_value(f"wavegate_event_loop_lag_seconds_{name}") or 0.0

    timer = asyncio.create_task(connections.run())
    await soon(lambda: value("count") >= 2)
    assert value("sum") == 0.0
    clock.at += 3.0
    await soon(lambda: value("sum") > 0)
    assert value("sum") == pytest.approx(2.999)
    timer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await timer


# -- idle sessions -----------------------------------------------------------------------------------------------------


async def test_who_neither_hears_nor_speaks_is_sent_to_rest() -> None:
    """Once, after the idle time; whoever hears stays, and whoever speaks has its time anew."""
    clock = Clock()
    connections = Connections(Config(server=Server(idle_timeout=100.0)), Recorder(), clock)
    idle, hearing, speaking = Guest(), Guest(idle=False), Guest()
    lines = [new_line(clock=clock) for _ in range(3)]
    for line, guest in zip(lines, (idle, hearing, speaking), strict=True):
        connections.add(line.connection, session(guest))
    clock.at += 99.0
    lines[2].say(type="ping")
    connections.sweep()
    assert [guest.rested for guest in (idle, hearing, speaking)] == [0, 0, 0]
    clock.at += 1.0
    connections.sweep()
    assert [guest.rested for guest in (idle, hearing, speaking)] == [1, 0, 0]
    clock.at += 100.0
    connections.sweep()
    assert [guest.rested for guest in (idle, hearing, speaking)] == [1, 0, 1]
    hearing.idle = True
    clock.at += 100.0
    connections.sweep()
    assert hearing.rested == 1


async def test_without_an_idle_time_nobody_is() -> None:
    """0 is never."""
    clock, guest = Clock(), Guest()
    connections = Connections(Config(server=Server(idle_timeout=0.0)), Recorder(), clock)
    line = new_line(clock=clock)
    connections.add(line.connection, session(guest))
    clock.at += 50_000.0
    connections.sweep()
    assert guest.rested == 0


async def test_who_stood_still_himself_calls_nobody_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a tick that came far too late everybody has one more, in which his answer may be read."""
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)
    connections, recorder, clock = registry()
    (quick, quick_wire), (dead, dead_wire) = plain(clock), plain(clock)
    connections.add(quick)
    connections.add(dead)
    quick.pause_writing()
    dead.pause_writing()
    # What its kernel took while nobody looked, the loop tells after the timer.
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(recorder, "loop_lag", lambda late: late > 1 and loop.call_soon(quick.resume_writing))
    timer = asyncio.create_task(connections.run())
    await asyncio.sleep(0)
    clock.at += 100.0
    await asyncio.wait_for(dead_wire.aborted.wait(), 5.0)
    assert not quick_wire.aborted.is_set()
    timer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await timer

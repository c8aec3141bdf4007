"""The registry of connections and its end: who is told, who is sent elsewhere, and who is cut at last.

Invariant under test: every session hears why it ends and when to come back, each at a moment of its own.
It must not know when a gateway stops.
"""

import asyncio

from gateway.server.connections import Connections
from metrics.recorder import Recorder
from tests.support.relay import Clock, within
from tests.support.sessions import CONFIG, Guest, plain, registry, session


async def test_everybody_is_told_to_come_back_at_a_moment_of_its_own() -> None:
    """Each session hears the time that is left and its own time to return; a player has no ear for it."""
    connections, _, clock = registry(None, 0.3, 1.7)
    guests, player = [Guest(), Guest()], plain(clock)[0]
    connections.add(player)
    for guest in guests:
        connections.add(plain(clock)[0], session(guest))
    assert len(connections.sessions()) == 2
    for seconds, connection in zip((30.0, 20.0), connections.sessions(), strict=True):
        connections.go_away(connection, seconds)
    connections.go_away(player, 30.0)
    connections.go_away(plain(clock)[0], 30.0)
    assert [guest.told for guest in guests] == [[(30.0, 0.3)], [(20.0, 1.7)]]


async def test_who_has_nothing_to_hear_is_sent_elsewhere() -> None:
    """With a time to come back; who hears something stays, and so does a player, until they are sent away as well."""
    connections, _, clock = registry(None, 0.3, 1.7)
    idle, hearing, (player, wire) = Guest(), Guest(idle=False), plain(clock)
    connections.add(player)
    for guest in (idle, hearing):
        connections.add(plain(clock)[0], session(guest))
    for connection in connections:
        connections.release(connection)
    assert [(error.code, error.retry_after) for error in idle.closed] == [("going_away", 0.3)]
    assert (hearing.closed, wire.aborted.is_set()) == ([], False)
    for connection in connections.sessions()[1:]:
        connections.send_away(connection)
    connections.send_away(player)
    assert [error.retry_after for error in hearing.closed] == [1.7]
    assert wire.aborted.is_set()


async def test_the_default_jitter_spreads_over_two_seconds() -> None:
    """Without a given chance every session still gets a time between a tenth and two seconds."""
    connections = Connections(CONFIG, Recorder(), Clock())
    guests = [Guest() for _ in range(20)]
    for guest in guests:
        connections.add(plain(Clock())[0], session(guest))
    for connection in connections.sessions():
        connections.go_away(connection, 1.0)
    times = {guest.told[0][1] for guest in guests}
    assert len(times) > 1
    assert all(0.1 <= time <= 2.0 for time in times)


async def test_an_empty_house_closes_at_once() -> None:
    """Nobody is waited for where nobody is."""
    connections, _, _ = registry()
    await within(connections.close(3600.0), 5.0)
    assert connections.draining


async def test_the_goodbye_waits_for_those_who_answer() -> None:
    """Sessions are closed with `going_away` and a time to return; when all sockets are gone the wait is over."""
    connections, _, clock = registry(None, 0.5)
    connection, wire = plain(clock)
    loop = asyncio.get_running_loop()

    def go() -> None:
        loop.call_soon(connection.connection_lost, None)

    guest = Guest(then=go)
    connections.add(connection, session(guest))
    await within(connections.close(3600.0), 5.0)
    (error,) = guest.closed
    assert (error.code, error.retry_after) == ("going_away", 0.5)
    assert len(connections) == 0
    assert not wire.aborted.is_set()


async def test_the_late_are_cut() -> None:
    """Whoever does not close in time, session or player, is cut."""
    connections, _, clock = registry(None, 0.5)
    (player, player_wire), (client, client_wire) = plain(clock), plain(clock)
    connections.add(player)
    connections.add(client, session(Guest()))
    await within(connections.close(0.01), 5.0)
    assert player_wire.aborted.is_set()
    assert client_wire.aborted.is_set()

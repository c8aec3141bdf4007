"""The connection that listeners stand on: water marks, whose turn it is when there is room, and a socket that is gone.

Invariant under test: one batch at most waits beside the socket, and nothing is said to a socket that is not there.
It must not know what bytes mean.
"""

import asyncio

from gateway.relay.listener import BATCH_BYTES, Listener, OnLag
from gateway.server.transport import NOWHERE, SocketTransport
from tests.support.relay import Clock, Pipe, new_channel
from tests.support.server import Wire


class Keeper:
    """Who looks after connections: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, SocketTransport]] = []

    def stalled(self, connection: SocketTransport) -> None:
        self.told.append(("stalled", connection))

    def lost(self, connection: SocketTransport) -> None:
        self.told.append(("lost", connection))


class Turn(Listener):
    """A listener that only notes when it is pumped."""

    __slots__ = ("name", "turns")

    def __init__(self, name: str, turns: list[str]) -> None:
        super().__init__(new_channel(), Pipe(), 0, OnLag.COMPLETE, 5.0)
        self.name = name
        self.turns = turns

    def pump(self) -> None:
        self.turns.append(self.name)


def connected() -> tuple[SocketTransport, Wire, Clock]:
    clock, wire = Clock(), Wire()
    connection = SocketTransport(clock)
    connection.connection_made(wire)
    return connection, wire, clock


async def test_nothing_is_piled_up_in_user_space() -> None:
    """From the first moment on a socket that takes no more stops its listeners, and one that is empty calls them."""
    _, wire, _ = connected()
    assert wire.marks == (0, 0)


def test_a_connection_without_a_socket_takes_everything_and_keeps_nothing() -> None:
    """Whoever writes to one that is gone, pauses it or closes it does nothing."""
    connection = SocketTransport(Clock())
    assert connection.sink is NOWHERE
    assert connection.sink.is_closing()
    assert not connection.sink.can_write_eof()
    for act in (NOWHERE.close, NOWHERE.abort, NOWHERE.pause_reading, NOWHERE.resume_reading):
        act()
    NOWHERE.writelines([b"nothing", b"arrives"])
    connection.write(b"nothing")
    assert not connection.busy


async def test_who_hears_or_has_not_taken_all_is_busy() -> None:
    """And nobody else: it is waited for when the gateway stops."""
    connection, wire, _ = connected()
    assert not connection.busy
    wire.untaken = 1
    assert connection.busy
    wire.untaken = 0
    connection.listeners.append(Turn("a", []))
    assert connection.busy


async def test_writable_follows_the_water_marks() -> None:
    """Not writable without a socket, nor from the high mark on, of which the time is kept; writable again after."""
    bare = SocketTransport(Clock())
    assert not bare.writable
    connection, _, clock = connected()
    assert connection.writable
    clock.at = 1234.5
    connection.pause_writing()
    assert (connection.writable, connection.stalled_since) == (False, 1234.5)
    connection.resume_writing()
    assert (connection.writable, connection.stalled_since) == (True, None)


async def test_room_is_offered_in_turn() -> None:
    """Each time there is room again everybody is pumped once, and whoever was first is last the next time."""
    connection, _, _ = connected()
    turns: list[str] = []
    connection.listeners = [Turn("a", turns), Turn("b", turns), Turn("c", turns)]
    for _ in range(3):
        connection.resume_writing()
    assert "".join(turns) == "bcacababc"


async def test_a_listener_that_leaves_in_its_turn_takes_nobody_elses() -> None:
    """Those behind one that ends while it is pumped are pumped all the same, once."""
    connection, _, _ = connected()
    turns: list[str] = []

    class Last(Turn):
        __slots__ = ()

        def pump(self) -> None:
            super().pump()
            connection.listeners.remove(self)

    connection.listeners = [Turn("c", turns), Last("a", turns), Last("b", turns)]
    connection.resume_writing()
    assert "".join(turns) == "abc"
    connection.resume_writing()
    assert "".join(turns) == "abcc"


async def test_a_lost_socket_is_told_once_and_never_written_to() -> None:
    """Whoever looks after the connection hears of the loss; writes and cuts after it do nothing."""
    connection, wire, _ = connected()
    owner = connection.owner = Keeper()
    connection.write(b"before")
    connection.connection_lost(None)
    connection.write(b"after")
    connection.cut()
    assert owner.told == [("lost", connection)]
    assert bytes(wire.written) == b"before"
    assert not connection.writable
    assert not wire.aborted.is_set()


async def test_nobody_needs_to_look_after_a_connection() -> None:
    """A connection that is lost before it was registered is lost in peace."""
    connection, _, _ = connected()
    connection.connection_lost(ConnectionResetError())
    assert not connection.writable


async def test_a_cut_drops_what_was_not_taken() -> None:
    """Cutting aborts the socket, it does not wait for a client that reads nothing."""
    connection, wire, _ = connected()
    connection.cut()
    assert wire.aborted.is_set()


async def test_a_real_socket_stalls_and_recovers() -> None:
    """A peer that reads nothing stalls the connection with little in user space; one that reads again frees it."""
    ours: asyncio.Queue[SocketTransport] = asyncio.Queue()

    def accept() -> SocketTransport:
        connection = SocketTransport(Clock())
        ours.put_nowait(connection)
        return connection

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1024)
        connection = await ours.get()
        owner = connection.owner = Keeper()
        while connection.writable:
            connection.write(bytes(BATCH_BYTES))
            await asyncio.sleep(0)
        assert owner.told == [("stalled", connection)]
        assert connection.sink.get_write_buffer_size() <= BATCH_BYTES
        while not connection.writable:
            await reader.read(65536)
        writer.close()
        await writer.wait_closed()
        connection.cut()
        server.close()
        await server.wait_closed()

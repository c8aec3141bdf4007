"""Leaks: what stays is named, what is about to end is waited for.

Invariant: each test ends itself what it lets leak.
It must not depend on the leak check that surrounds it.
"""

import asyncio
import threading

import pytest

from tests.house.leaks import leaked_sockets, leaked_tasks, leaked_threads


async def test_a_task_that_stays_is_named() -> None:
    """A task that waits for ever is named by what it runs."""
    forgotten = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    assert await leaked_tasks(grace=0.01) == ["task forgotten in Event.wait"]
    forgotten.cancel()


async def test_a_task_that_ends_is_no_leak() -> None:
    """A task that needs a few more turns of the loop is given them."""
    done = asyncio.Event()
    closing = asyncio.create_task(done.wait())
    asyncio.get_running_loop().call_later(0.01, done.set)
    assert await leaked_tasks() == []
    assert closing.done()


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_socket_that_stays_is_named() -> None:
    """Each end of a connection, the server, and a program's pipe; all of them need a few turns to close."""
    here = asyncio.Queue[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: here.put_nowait(writer), "127.0.0.1", 0)
    assert await leaked_sockets(grace=0.01) == ["watch over BaseSelectorEventLoop._accept_connection"]
    address = server.sockets[0].getsockname()
    _, writer = await asyncio.open_connection(*address)
    ends = [writer, await here.get()]
    name = writer.get_extra_info("sockname")
    connected = [f"socket {address} to {name}", f"socket {name} to {address}"]
    assert (await leaked_sockets(grace=0.01))[:2] == sorted(connected)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()  # now nobody watches it
    assert (await leaked_sockets(grace=0.01))[:2] == sorted(connected)
    for end in ends:
        end.close()
    server.close()
    program = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    assert any("WritePipeTransport" in left for left in await leaked_sockets(grace=0.01))
    assert program.stdin is not None
    program.stdin.close()
    await program.wait()
    assert await leaked_sockets() == []


def test_a_thread_that_stays_is_named() -> None:
    """A thread that keeps the interpreter alive is named; a daemon and an old one are not."""
    release = threading.Event()
    old, new, daemon = (
        threading.Thread(target=release.wait, args=(30,), name=name, daemon=name == "daemon")
        for name in ("old", "new", "daemon")
    )
    old.start()
    before = threading.enumerate()
    new.start()
    daemon.start()
    try:
        assert leaked_threads(before, grace=0.01) == ["thread new"]
    finally:
        release.set()
    assert leaked_threads(before) == []
    for thread in (old, daemon):
        thread.join(30)

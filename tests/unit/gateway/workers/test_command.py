"""The supervisor's process: real workers' processes and signals, with stand-ins for the gateways.

Invariant under test: it prints what a single process prints, once; every signal does what it does for one; nothing of
it is left. It must not know a gateway: whole ones are tried in tests/integration.
"""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from gateway import __version__
from gateway.config.schema import Config
from gateway.config.server import Server
from gateway.errors import StartError
from gateway.workers import command
from gateway.workers.command import announce, listening, supervise
from tests.support.manager import Manager
from tests.support.relay import until, within
from tests.support.server import soon

CONFIG = Config(server=Server(port=0, internal_port=0, workers=2, drain_timeout=5.0))
Handlers = dict[int, Callable[[], None]]


@pytest.fixture
async def handlers(monkeypatch: pytest.MonkeyPatch) -> Handlers:
    """The handlers that the command sets, by signal; no signal reaches this process."""
    found: Handlers = {}
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", lambda number, handler: found.update({number: handler}))
    return found


class Running:
    """A supervisor that runs here; `public` and `internal` are its ports."""

    def __init__(self, task: "asyncio.Task[int]", port: int, said: str) -> None:
        self.task = task
        self.port = port
        self.said = said
        self.internal = said.partition("internal")[2].strip().removesuffix("/metrics")

    async def who(self) -> int:
        """The process that accepts the next connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            return int(await within(reader.readline()))
        finally:
            writer.close()

    async def both(self) -> set[int]:
        """The processes that serve, once there are two."""
        found: set[int] = set()
        async with asyncio.timeout(20.0):
            while len(found) < 2:
                found.add(await self.who())
        return found

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as client, client.get(f"{self.internal}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def started(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str = "") -> Running:
    """Two stand-ins under a supervisor."""

    def line(flags: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "tests.support.standin", *([how] if how else [])]

    monkeypatch.setattr(command, "command", line)
    doors = await asyncio.to_thread(listening, CONFIG)
    task = asyncio.create_task(supervise(CONFIG, doors, [], os.environ))
    said = ""

    def announced() -> bool:
        nonlocal said
        found = capfd.readouterr()
        said += found.out + found.err
        return "internal" in said or task.done()

    await soon(announced)
    if task.done():
        return Running(task, doors.port, said)
    assert said.startswith(f"Wavegate {__version__}\n  public    http://")
    return Running(task, doors.port, said)


@pytest.fixture
async def two(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[Running]:
    running = await started(monkeypatch, capfd)
    yield running
    for _ in range(3):
        handlers[signal.SIGTERM]()
    await asyncio.wait([running.task], timeout=20.0)


async def test_both_serve_and_one_that_dies_comes_back(
    two: Running, handlers: Handlers, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the same port, which goes on; what is counted does not go backwards, and a drain is a success."""
    before = await two.both()
    visits = await two.metric("wavegate_listener_joins_total")
    assert visits >= 2
    os.kill(min(before), signal.SIGKILL)
    await soon(lambda: not os.path.exists(f"/proc/{min(before)}/exe"))
    after = await two.both()
    assert after & before == {max(before)}
    assert await two.metric("wavegate_listener_joins_total") > visits
    assert await two.metric('wavegate_worker_restarts_total{reason="died"}') == 1.0
    handlers[signal.SIGINT]()
    assert await within(asyncio.shield(two.task)) == 0
    said = capfd.readouterr()
    assert (said.err.count("stopping: running streams may finish"), "Wavegate" in said.out) == (1, False)
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", two.port)


async def test_a_rolling_restart_refuses_nobody(two: Running, handlers: Handlers) -> None:
    """Both are others in the end, and whoever came meanwhile was served."""
    before = await two.both()
    handlers[signal.SIGUSR2]()
    served: set[int] = set()
    async with asyncio.timeout(20.0):
        while len(served - before) < 2:
            served.add(await two.who())
    assert await two.metric('wavegate_worker_restarts_total{reason="replaced"}') == 2.0
    handlers[signal.SIGTERM]()
    assert await within(asyncio.shield(two.task)) == 0


async def test_a_hangup_reaches_all(two: Running, handlers: Handlers) -> None:
    """Each worker reads the configuration again."""
    handlers[signal.SIGHUP]()
    async with asyncio.timeout(20.0):
        while await two.metric("wavegate_upstream_retries_total") < 2:
            pass


async def test_a_service_manager_hears_of_the_supervisor(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Ready when a worker serves, reloading and ready, stopping; of no worker it hears."""
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    running = await started(monkeypatch, capfd)
    (ready,) = manager.heard()
    assert (ready["READY"], ready["MAINPID"]) == ("1", str(os.getpid()))
    assert re.fullmatch(r"serving: [12] of 2 workers", ready["STATUS"])
    handlers[signal.SIGHUP]()
    assert [next(iter(word)) for word in manager.heard()] == ["RELOADING", "READY"]
    handlers[signal.SIGTERM]()
    assert await within(asyncio.shield(running.task)) == 0
    assert [next(iter(word)) for word in manager.heard()] == ["STOPPING"]
    manager.close()


async def test_a_worker_that_hangs_is_replaced(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where a service manager asks for a watchdog: it sees the supervisor, and the supervisor its workers."""
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setattr(command, "LEAST_WATCH_SECONDS", 3.0)
    running = await started(monkeypatch, capfd)
    before = await running.both()
    os.kill(min(before), signal.SIGSTOP)
    await soon(lambda: not os.path.exists(f"/proc/{min(before)}/exe"))
    assert await running.both() & before == {max(before)}
    handlers[signal.SIGTERM]()
    assert await within(asyncio.shield(running.task)) == 0
    manager.close()


def test_sockets_of_a_service_manager_are_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is bound in their place."""
    given = [socket.create_server(("127.0.0.1", 0))]
    monkeypatch.setattr(command, "activated", lambda environ: given if environ == {"LISTEN_FDS": "1"} else [])
    doors = listening(CONFIG, environ={"LISTEN_FDS": "1"})
    assert doors.take(1) == given
    doors.close()


async def test_a_second_signal_stops_what_drains(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capfd: pytest.CaptureFixture[str]
) -> None:
    """Workers that would have stayed go at once, in good order."""
    running = await started(monkeypatch, capfd, "stays")
    handlers[signal.SIGTERM]()
    await until(lambda: not running.task.done())
    handlers[signal.SIGTERM]()
    assert await within(asyncio.shield(running.task)) == 0


async def test_workers_that_cannot_start_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capfd: pytest.CaptureFixture[str]
) -> None:
    """All said that the configuration is wrong: so is the exit code, and nothing was announced."""
    running = await started(monkeypatch, capfd, "dies")
    assert await within(running.task) == 2
    assert "none of 2 workers has started" in running.said + capfd.readouterr().err
    assert "public" not in running.said


async def test_an_internal_port_that_is_taken_is_a_sentence(handlers: Handlers) -> None:
    """As for a single process, before a worker is started; the public port is free again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Server(port=0, internal_port=other.getsockname()[1], workers=2)
        doors = await asyncio.to_thread(listening, Config(server=server))
        with pytest.raises(StartError, match="the port is taken"):
            await supervise(Config(server=server), doors, [], {})
    socket.create_server(("127.0.0.1", doors.port)).close()


def test_what_is_printed_of_a_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """The player's address and a command to hear it with."""
    announce("http://a", "http://b", demo=True)
    said = capsys.readouterr().out
    assert "player    http://a/ " in said
    assert said.endswith("  public    http://a\n  internal  http://b/metrics\n")

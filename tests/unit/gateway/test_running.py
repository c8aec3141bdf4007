"""Servers and their signals: what one signal and two do to a gateway that runs, and what keeps one from starting.

Invariant under test: the first signal drains, the second stops at once, and whatever was opened is closed.
It must not know what a gateway does: a stand-in takes its place; real processes are tried elsewhere.
"""

import asyncio
import errno
import faulthandler
import logging
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway import __version__, running
from gateway.config.load import ConfigError
from gateway.config.schema import Config, Log, Tenant
from gateway.config.server import Server
from gateway.errors import StartError
from gateway.server import port
from gateway.workers.link import Link
from gateway.workers.messages import STOP
from metrics.recorder import Recorder
from tests.support.manager import Manager
from tests.support.relay import until, within
from tests.support.server import soon
from tests.support.verbs import value

# -- signals ---------------------------------------------------------------------------------------------------------


class Standing:
    """A gateway that only notes what is done with it; a drain lasts until `drained` is set."""

    def __init__(self, *, fault: Exception | None = None) -> None:
        self.life: list[str] = []
        self.drained = asyncio.Event()
        self.addresses = port.Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")
        self.fault = fault
        self.recorder = Recorder()
        self.gauges = SimpleNamespace(look=lambda: self.recorder.cluster_nodes(7))
        self.config = Config()
        self.sockets: object = None
        self.levels: list[str] = []
        # What is shown of it.
        self.hub = SimpleNamespace(streams=[SimpleNamespace(here=2), SimpleNamespace(here=3)], running=1)
        self.connections = range(4)
        self.drainage = SimpleNamespace(began=False, seconds_left=3.0)

    async def __aenter__(self) -> "Standing":
        if self.fault is not None:
            raise self.fault
        self.life.append("open")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.life.append("closed")

    def reload(self, config: Config) -> None:
        if config.server.port == 9:
            raise RuntimeError("a fault of ours")
        self.life.append(f"reloaded {config.server.port}")

    async def renew(self, config: Config) -> bool:
        return config.server.port != 3

    async def drain(self) -> None:
        self.life.append("draining")
        self.drainage.began = True
        await self.drained.wait()
        self.life.append("drained")


Handlers = dict[int, Callable[[], None]]


@pytest.fixture
async def handlers(monkeypatch: pytest.MonkeyPatch) -> Handlers:
    """The handlers that the command sets, by signal; no signal reaches this process."""
    found: Handlers = {}
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", lambda number, handler: found.update({number: handler}))
    return found


def serving(
    monkeypatch: pytest.MonkeyPatch,
    gateway: Standing,
    *,
    demo: bool = False,
    reload: Callable[[], Config] = Config,
    link: Link | None = None,
    environ: Mapping[str, str] | None = None,
) -> asyncio.Task[None]:
    def made(config: Config, key: str, *, demo: bool, sockets: object) -> Standing:
        gateway.config, gateway.sockets = config, sockets
        return gateway

    monkeypatch.setattr(running, "Gateway", made)
    monkeypatch.setattr(running, "set_level", gateway.levels.append)
    serve = running.serve(Config(), "sk-test", demo=demo, reload=reload, link=link, environ=environ or {})
    return asyncio.create_task(serve)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_signal_drains(
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    handlers: Handlers,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first one lets streams end, then everything is closed, and that is a success."""
    gateway = Standing()
    command = serving(monkeypatch, gateway)
    await until(lambda: number in handlers and gateway.life == ["open"])
    handlers[number]()
    await until(lambda: gateway.life == ["open", "draining"])
    gateway.drained.set()
    await within(command)
    assert gateway.life == ["open", "draining", "drained", "closed"]
    said = capsys.readouterr()
    assert (
        said.out == f"Wavegate {__version__}\n  public    http://127.0.0.1:1\n  internal  http://127.0.0.1:2/metrics\n"
    )
    assert "Ctrl-C again stops at once" in said.err


async def test_two_signals_stop_at_once(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """The second one waits for no stream; everything is closed all the same."""
    gateway = Standing()
    command = serving(monkeypatch, gateway)
    await until(lambda: len(handlers) == 3 and gateway.life == ["open"])
    handlers[signal.SIGINT]()
    await until(lambda: gateway.life == ["open", "draining"])
    handlers[signal.SIGTERM]()
    await within(command)
    assert gateway.life == ["open", "draining", "closed"]


async def test_a_drain_that_fails_is_not_a_success(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """A fault while draining comes out, behind a gateway that was closed."""

    class Broken(Standing):
        async def drain(self) -> None:
            raise RuntimeError("a fault of ours")

    gateway = Broken()
    command = serving(monkeypatch, gateway)
    await until(lambda: len(handlers) == 3 and gateway.life == ["open"])
    handlers[signal.SIGINT]()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await within(command)
    assert gateway.life == ["open", "closed"]


async def test_a_demo_tells_where_to_look(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capsys: pytest.CaptureFixture[str]
) -> None:
    """The player's address and a command to hear it with."""
    gateway = Standing()
    command = serving(monkeypatch, gateway, demo=True)
    await until(lambda: gateway.life == ["open"])
    gateway.drained.set()
    handlers[signal.SIGINT]()
    await within(command)
    said = capsys.readouterr().out
    assert "player    http://127.0.0.1:1/ " in said
    assert "wavegate listen --server http://127.0.0.1:1 --key demo --prompt" in said


async def test_a_gateway_that_cannot_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """A port that is taken is the user's to change: usage, not a fault."""
    gateway = Standing(fault=OSError(errno.EADDRINUSE, "in use"))
    with pytest.raises(StartError, match="the port is taken"):
        await serving(monkeypatch, gateway)


async def test_a_simulator_stops_at_a_signal(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells its address and how to use it, and one signal ends it."""
    command = asyncio.create_task(running.simulate("127.0.0.1", 0, 0.0, None))
    said = ""

    def announced() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "wavegate serve" in said

    await until(announced)
    assert re.search(r"DashScope simulator at http://127\.0\.0\.1:\d+, 0 x real time", said)
    handlers[signal.SIGTERM]()
    await within(command)


async def test_a_simulator_without_its_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """The address is named, and what the system says of it."""

    class Taken(Standing):
        def __init__(self, **options: object) -> None:
            super().__init__(fault=OSError(errno.EADDRINUSE, "Address already in use"))

    monkeypatch.setattr(running, "Simulator", Taken)
    with pytest.raises(StartError, match=re.escape("cannot listen on 127.0.0.1:5: Address already in use.")):
        await running.simulate("127.0.0.1", 5, 1.0, None)


async def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path, handlers: Handlers) -> None:
    """Whoever asks to hear a file that is no recording is told so before a door opens."""
    file = tmp_path / "song.mp3"
    file.write_bytes(b"\xff\xfb\x90\x00")
    with pytest.raises(StartError, match=r"song\.mp3"):
        await running.simulate("127.0.0.1", 0, 1.0, file)


async def test_a_hangup_takes_up_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it is asked to; a file with mistakes, and a fault of ours, change nothing and end nothing."""
    answers: list[Config | ConfigError] = [
        Config(server=Server(port=1)),
        ConfigError(["tenants[0].id: must be unique"]),
        Config(server=Server(port=9)),
        Config(server=Server(port=2)),
    ]

    def reload() -> Config:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    gateway = Standing()
    caplog.set_level(logging.INFO)
    command = serving(monkeypatch, gateway, reload=reload)
    await until(lambda: len(handlers) == 3 and gateway.life == ["open"])
    for left in (3, 2, 1, 0):
        handlers[signal.SIGHUP]()
        await soon(lambda: len(answers) == left and len(caplog.records) == 4 - left)  # noqa: B023 - awaited right here
    assert gateway.life == ["open", "reloaded 1", "reloaded 2"]
    reloads = [value(gateway.recorder, "config_reloads_total", result=result) for result in ("ok", "refused")]
    assert reloads == [2.0, 2.0]
    assert value(gateway.recorder, "config_reload_timestamp_seconds") == pytest.approx(time.time(), abs=60.0)
    (refused,) = [record for record in caplog.records if record.message == "config.refused"]
    assert "tenants[0].id: must be unique" in refused.__dict__["fields"]["reason"]
    assert "a fault of ours" in caplog.text
    taken = [record.__dict__["fields"] for record in caplog.records if record.message == "config.reloaded"]
    assert taken[-1] == {"tenants": 0, "changed": [], "needs_restart": ["server.port"]}
    assert gateway.levels == ["info", "info"]
    handlers[signal.SIGTERM]()
    gateway.drained.set()
    await within(command)
    assert gateway.life[-1] == "closed"


async def test_what_is_taken_up_and_what_is_not_is_told(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    """What changed since the last time, and what waits since the start; with a bad certificate it is not all of it."""
    answers = [
        Config(server=Server(port=3), tenants=[Tenant(id="acme")], log=Log(level="debug")),
        Config(tenants=[Tenant(id="acme")], log=Log(level="error")),
    ]
    gateway = Standing()
    caplog.set_level(logging.INFO)
    command = serving(monkeypatch, gateway, reload=lambda: answers.pop(0))
    await until(lambda: len(handlers) == 3 and gateway.life == ["open"])
    for left in (1, 0):
        handlers[signal.SIGHUP]()
        await soon(lambda: len(answers) == left and len(caplog.records) == 2 - left)  # noqa: B023 - awaited right here
    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"tenants": 1, "changed": ["tenants", "log.level"], "needs_restart": ["server.port"]},
        {"tenants": 1, "changed": ["log.level"], "needs_restart": []},
    ]
    assert gateway.levels == ["debug", "error"]
    assert [value(gateway.recorder, "config_reloads_total", result=one) for one in ("refused", "ok")] == [1.0, 1.0]
    handlers[signal.SIGTERM]()
    gateway.drained.set()
    await within(command)


# -- under a service manager -------------------------------------------------------------------------------------------


async def test_a_service_manager_hears_of_it_all(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, tmp_path: Path
) -> None:
    """Ready when it serves, reloading and ready again, stopping; who is too late for the watchdog says where."""
    manager = Manager(str(tmp_path / "notify"))
    enabled: list[bool] = []
    monkeypatch.setattr(faulthandler, "enable", lambda: enabled.append(True))
    gateway = Standing()
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000000"}
    command = serving(monkeypatch, gateway, environ=environ)
    heard: list[dict[str, str]] = []

    def said(name: str, count: int = 1) -> bool:
        heard.extend(manager.heard())
        return sum(name in word for word in heard) >= count

    await soon(lambda: said("READY") and said("WATCHDOG"))
    (ready,) = [word for word in heard if "READY" in word]
    assert ready["STATUS"] == "serving: 1 streams run, 5 listeners, 4 connections"
    assert enabled == [True]
    handlers[signal.SIGHUP]()
    await soon(lambda: said("RELOADING") and said("READY", 2))
    handlers[signal.SIGTERM]()
    await soon(lambda: said("STOPPING"))
    words = [next(iter(word)) for word in heard if "WATCHDOG" not in word]
    assert words == ["READY", "RELOADING", "READY", "STOPPING"]
    gateway.drained.set()
    await within(command)
    manager.close()


async def test_sockets_of_a_service_manager_are_the_port(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """They are handed on, and nothing is bound in their place."""
    given = [socket.socket()]
    monkeypatch.setattr(running, "activated", lambda environ: given if environ == {"LISTEN_FDS": "1"} else [])
    gateway = Standing()
    command = serving(monkeypatch, gateway, environ={"LISTEN_FDS": "1"})
    await until(lambda: gateway.life == ["open"])
    assert gateway.sockets is given
    handlers[signal.SIGTERM]()
    gateway.drained.set()
    await within(command)
    given[0].close()


# -- under a supervisor ----------------------------------------------------------------------------------------------


async def test_a_worker_speaks_to_its_supervisor_alone(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints nothing. Signals, however many, drain it; its last word are its metrics."""
    gateway = Standing()
    ours, theirs = socket.socketpair()
    ours.settimeout(5.0)
    command = serving(monkeypatch, gateway, link=Link(1, theirs, []))
    await soon(lambda: len(handlers) == 3 and gateway.life == ["open"])
    for _ in range(3):
        handlers[signal.SIGTERM]()
        await soon(lambda: gateway.life == ["open", "draining"])
    gateway.drained.set()
    await within(command)
    assert gateway.life == ["open", "draining", "drained", "closed"]
    words = ours.recv(1 << 20).splitlines()
    assert words[:2] == [
        b'{"said":"ready","public":"http://127.0.0.1:1","internal":"http://127.0.0.1:2"}',
        b'{"said":"leaving"}',
    ]
    assert b"wavegate_build_info" in words[2]
    assert b"wavegate_cluster_nodes 7.0" in words[2], "as of the very end"
    # It has taken its share, which makes its internal port a free one of the loopback.
    assert gateway.config.server.internal_port == 0
    ours.close()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


async def test_a_worker_stops_at_once_when_it_is_told(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """By its supervisor's word, while it drains."""
    gateway = Standing()
    ours, theirs = socket.socketpair()
    command = serving(monkeypatch, gateway, link=Link(1, theirs, []))
    await soon(lambda: gateway.life == ["open"])
    handlers[signal.SIGTERM]()
    await soon(lambda: gateway.life == ["open", "draining"])
    ours.send(STOP)
    await within(command)
    assert gateway.life == ["open", "draining", "closed"]
    ours.close()


async def test_a_worker_without_its_supervisor_drains(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """It notices that the line has ended, and ends in good order."""
    gateway = Standing()
    ours, theirs = socket.socketpair()
    command = serving(monkeypatch, gateway, link=Link(1, theirs, []))
    await soon(lambda: gateway.life == ["open"])
    ours.close()
    await soon(lambda: gateway.life == ["open", "draining"])
    gateway.drained.set()
    await within(command)
    assert gateway.life[-1] == "closed"

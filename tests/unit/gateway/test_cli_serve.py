"""The commands that serve: what is checked before a gateway runs, and what a signal does to one that does.

Invariant under test: the first signal drains, the second stops at once, and whatever was opened is closed.
It must not know what a gateway does: a stand-in takes its place; real processes are tried elsewhere.
"""

import asyncio
import errno
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__, app, cli
from gateway.config.load import Loaded
from gateway.config.schema import Config, Server, Upstream
from gateway.config.secret import SecretFileError
from gateway.upstream.simulator import server as simulator_server
from tests.support.relay import until, within


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (cli.KEY_VARIABLE, "WAVEGATE_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> int:
    return cli.main(arguments)


# -- before anything runs --------------------------------------------------------------------------------------------


def test_without_a_key_there_are_two_ways_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2, and the sentence names both."""
    assert run("serve") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "DASHSCOPE_API_KEY=sk-... wavegate serve" in said.err
    assert "wavegate serve --demo" in said.err


def test_a_key_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is looked at before the gateway opens its doors."""
    monkeypatch.setenv("WAVEGATE__UPSTREAM__API_KEY_FILE", str(tmp_path / "key"))
    assert run("serve") == 2
    assert "is not there" in capsys.readouterr().err


def test_what_must_not_be_written_is_known_before_the_log_begins(tmp_path: Path) -> None:
    """The key of the environment wins over the file's; a demo has none, and asks for none."""
    file = tmp_path / "key"
    file.write_text("sk-from-file\n", encoding="ascii")
    config = Config(upstream=Upstream(api_key_file=str(file)))

    def found(config: Config, key: str | None, *, demo: bool = False) -> list[str]:
        return [secret.reveal() for secret in cli._provider_secrets(config, key, demo=demo)]

    assert found(config, "sk-from-environment") == ["sk-from-environment"]
    assert found(config, None) == ["sk-from-file"]
    assert found(config, None, demo=True) == found(Config(), "sk-x", demo=True) == []
    with pytest.raises(cli.UsageError):
        found(Config(), None)
    with pytest.raises(SecretFileError):
        found(Config(upstream=Upstream(api_key_file=str(tmp_path))), None)


def test_flags_win_and_warnings_are_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is served is the configuration with the flags on top; a key not in force is logged; the code comes back."""
    served: list[tuple[Loaded, str | None, bool]] = []

    async def serve(loaded: Loaded, key: str | None, *, demo: bool) -> int:
        served.append((loaded, key, demo))
        return 7

    configured: list[Any] = []
    monkeypatch.setattr(cli, "_serve_until_stopped", serve)
    monkeypatch.setattr(cli.log, "configure", lambda *arguments, **options: configured.append((arguments, options)))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret-key")
    monkeypatch.setenv("WAVEGATE__SERVER__PORT", "1111")
    monkeypatch.setenv("WAVEGATE__LOG__FORMAT", "json")
    monkeypatch.setenv("WAVEGATE__TENANTS", "[{id: acme, abandon: cancel}]")
    assert run("serve", "--port", "0", "--internal-port", "0", "--host", "localhost") == 7
    ((loaded, key, demo),) = served
    server = loaded.config.server
    assert (server.host, server.port, server.internal_port, key, demo) == ("localhost", 0, 0, "sk-secret-key", False)
    (((level, form), options),) = configured
    assert (level, form, [secret.reveal() for secret in options["secrets"]]) == ("info", "json", ["sk-secret-key"])
    assert "tenants[0].abandon" in caplog.text
    assert run("serve", "--demo") == 7
    assert served[1][2] is True
    assert "sk-secret-key" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("workers", ["2", "0"])
def test_more_workers_than_there_can_be_are_refused(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag is checked as the configuration is."""
    assert run("serve", "--demo", "--workers", workers) == 2
    assert "server.workers" in capsys.readouterr().err


def test_without_uvloop_asyncio_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code comes back on either loop."""

    async def answer() -> int:
        return 3

    assert cli._run(answer()) == 3
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert cli._run(answer()) == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "the port is taken. Choose others with --port and --internal-port."),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied."),
        (OSError(), "the address cannot be used."),
    ],
)
def test_a_port_that_cannot_be_had_is_a_sentence(error: OSError, words: str) -> None:
    """It names both addresses and says what to do, or what the system says."""
    sentence = cli._port_taken(error, Config(server=Server(port=1, internal_port=2)))
    assert sentence == f"cannot listen on 127.0.0.1:1 or 127.0.0.1:2: {words}"


# -- signals ---------------------------------------------------------------------------------------------------------


class Standing:
    """A gateway that only notes what is done with it; a drain lasts until `drained` is set."""

    def __init__(self, *, fault: Exception | None = None) -> None:
        self.life: list[str] = []
        self.drained = asyncio.Event()
        self.addresses = app.Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")
        self.fault = fault

    async def __aenter__(self) -> "Standing":
        if self.fault is not None:
            raise self.fault
        self.life.append("open")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.life.append("closed")

    async def drain(self) -> None:
        self.life.append("draining")
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


def serving(monkeypatch: pytest.MonkeyPatch, gateway: Standing, *, demo: bool = False) -> asyncio.Task[int]:
    monkeypatch.setattr(app, "Gateway", lambda config, key, *, demo: gateway)
    return asyncio.create_task(cli._serve_until_stopped(Loaded(Config()), "sk-test", demo=demo))


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
    assert await within(command) == 0
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
    await until(lambda: len(handlers) == 2 and gateway.life == ["open"])
    handlers[signal.SIGINT]()
    await until(lambda: gateway.life == ["open", "draining"])
    handlers[signal.SIGTERM]()
    assert await within(command) == 0
    assert gateway.life == ["open", "draining", "closed"]


async def test_a_drain_that_fails_is_not_a_success(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """A fault while draining comes out, behind a gateway that was closed."""

    class Broken(Standing):
        async def drain(self) -> None:
            raise RuntimeError("a fault of ours")

    gateway = Broken()
    command = serving(monkeypatch, gateway)
    await until(lambda: len(handlers) == 2 and gateway.life == ["open"])
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
    assert await within(command) == 0
    said = capsys.readouterr().out
    assert "player    http://127.0.0.1:1/ " in said
    assert "wavegate listen --server http://127.0.0.1:1 --key demo --prompt" in said


async def test_a_gateway_that_cannot_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """A port that is taken is the user's to change: usage, not a fault."""
    gateway = Standing(fault=OSError(errno.EADDRINUSE, "in use"))
    with pytest.raises(cli.UsageError, match="the port is taken"):
        await serving(monkeypatch, gateway)


async def test_a_simulator_stops_at_a_signal(
    monkeypatch: pytest.MonkeyPatch, handlers: Handlers, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells its address and how to use it, and one signal ends it."""
    command = asyncio.create_task(cli._simulate_until_stopped("127.0.0.1", 0, 0.0, None))
    said = ""

    def announced() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "wavegate serve" in said

    await until(announced)
    assert re.search(r"DashScope simulator at http://127\.0\.0\.1:\d+, 0 x real time", said)
    handlers[signal.SIGTERM]()
    assert await within(command) == 0


async def test_a_simulator_without_its_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch, handlers: Handlers) -> None:
    """The address is named, and what the system says of it."""

    class Taken(Standing):
        def __init__(self, **options: object) -> None:
            super().__init__(fault=OSError(errno.EADDRINUSE, "Address already in use"))

    monkeypatch.setattr(simulator_server, "Simulator", Taken)
    with pytest.raises(cli.UsageError, match=re.escape("cannot listen on 127.0.0.1:5: Address already in use.")):
        await cli._simulate_until_stopped("127.0.0.1", 5, 1.0, None)


async def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path, handlers: Handlers) -> None:
    """Whoever asks to hear a file that is no recording is told so before a door opens."""
    file = tmp_path / "song.mp3"
    file.write_bytes(b"\xff\xfb\x90\x00")
    with pytest.raises(cli.UsageError, match=r"song\.mp3"):
        await cli._simulate_until_stopped("127.0.0.1", 0, 1.0, file)


def test_the_simulator_lists_what_it_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Tunes, faults and options, each on a line of its own."""
    assert run("simulate", "--scenarios") == 0
    said = capsys.readouterr().out
    for name in ("scale", "throttle", "seconds="):
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name

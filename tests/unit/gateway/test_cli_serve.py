"""The commands that serve: what is checked before a gateway runs.

Invariant under test: nothing is opened for a command that is wrong, and no secret is printed on the way.
It must not know what a gateway does: a stand-in takes its place; what signals do is tested in test_running.py.
"""

import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import cli, log, running
from gateway.config.load import Loaded
from gateway.config.schema import Config, Upstream
from gateway.config.secret import SecretFileError
from gateway.config.server import Server
from gateway.workers import command
from gateway.workers.link import Link
from gateway.workers.listening import Listening


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
    """What is served is the configuration with the flags on top; what is hardly meant so is logged."""
    served: list[tuple[Config, str | None, bool]] = []

    async def serve(config: Config, key: str | None, *, demo: bool, reload: Callable[[], Config], link: None) -> None:
        served.append((config, key, demo))
        assert reload() == config

    configured: list[Any] = []
    monkeypatch.setattr(running, "serve", serve)
    monkeypatch.setattr(log, "configure", lambda *arguments, **options: configured.append((arguments, options)))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret-key")
    monkeypatch.setenv("WAVEGATE__SERVER__PORT", "1111")
    monkeypatch.setenv("WAVEGATE__LOG__FORMAT", "json")
    monkeypatch.setenv("WAVEGATE__TENANTS", "[{id: acme, limits: {streams_per_minute: 1}}]")
    assert run("serve", "--port", "0", "--internal-port", "0", "--host", "localhost") == 0
    ((config, key, demo),) = served
    server = config.server
    assert (server.host, server.port, server.internal_port, key, demo) == ("localhost", 0, 0, "sk-secret-key", False)
    (((level, form), options),) = configured
    assert (level, form, [secret.reveal() for secret in options["secrets"]]) == ("info", "json", ["sk-secret-key"])
    assert "tenants[0].keys" in caplog.records[0].__dict__["fields"]["reason"]
    assert run("serve", "--demo") == 0
    assert served[1][2] is True
    assert "sk-secret-key" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("workers", ["2", "0"])
def test_more_workers_than_there_can_be_are_refused(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag is checked as the configuration is."""
    assert run("serve", "--demo", "--workers", workers) == 2
    assert "server.workers" in capsys.readouterr().err


# -- several workers -------------------------------------------------------------------------------------------------


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Several workers are configured, and all that they need; the flags that `supervise` was given, each time."""
    loaded = Loaded(Config(server=Server(port=0, workers=3)), ["this is hardly meant so"])
    monkeypatch.setattr(cli, "load", lambda *arguments: loaded)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret-key")
    monkeypatch.setattr(log, "configure", lambda *arguments, **options: None)
    given: list[str] = []

    async def supervise(config: Config, doors: Listening, flags: list[str], environ: object) -> int:
        given.append(" ".join(flags))
        doors.close()
        return 1

    monkeypatch.setattr(command, "supervise", supervise)
    return given


def test_several_workers_have_a_supervisor(several: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Its exit code counts; workers are called as it was, and no secret stands among their flags."""
    assert run("serve") == 1
    assert run("serve", "--config", "a.yaml", "--workers", "3", "--port", "0", "--host", "127.0.0.1") == 1
    assert several == ["", "--config a.yaml --host 127.0.0.1 --port 0 --workers 3"]
    assert [record.message for record in caplog.records] == ["config.odd"] * 2


def test_a_port_that_is_taken_stops_a_supervisor(
    several: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a worker is started, in the words of a single process."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Config(server=Server(port=other.getsockname()[1], workers=2))
        monkeypatch.setattr(cli, "load", lambda *arguments: Loaded(taken))
        assert run("serve") == 2
    assert "the port is taken. Choose others with --port" in capsys.readouterr().err
    assert several == []


def test_a_demo_of_several_is_refused(several: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each would have a simulator of its own; what to do in place of it is said."""
    assert run("serve", "--demo") == 2
    assert "wavegate simulate" in capsys.readouterr().err
    assert several == []


def test_a_worker_serves(several: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With what its supervisor handed over, and no warnings: the supervisor has said those."""
    served: list[tuple[Config, Any]] = []

    async def serve(config: Config, key: str | None, *, demo: bool, reload: Callable[[], Config], link: object) -> None:
        served.append((config, link))

    handed = object()
    monkeypatch.setattr(running, "serve", serve)
    monkeypatch.setattr(Link, "inherited", lambda environ: handed)
    assert run("serve") == 0
    ((config, link),) = served
    assert link is handed
    assert config.server.workers == 3
    assert several == []


def test_without_uvloop_asyncio_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code comes back on either loop."""

    async def answer() -> int:
        return 3

    assert cli._run(answer()) == 3
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert cli._run(answer()) == 3


def test_the_simulator_lists_what_it_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Tunes, faults and options, each on a line of its own."""
    assert run("simulate", "--scenarios") == 0
    said = capsys.readouterr().out
    for name in ("scale", "throttle", "seconds="):
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name

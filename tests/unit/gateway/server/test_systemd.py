"""What a service manager hears, on real sockets, and what it hands over.

Invariant under test: every message is one that sd_notify(3) knows, and nobody is waited for.
It must not know what a gateway is.
"""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.server import systemd
from gateway.server.systemd import Notifier, activated, without_ours
from tests.support.manager import Manager
from tests.support.relay import Clock
from tests.support.server import soon


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"\0wavegate-test-{os.getpid()}")
    yield made
    made.close()


async def test_a_life_as_it_is_told(manager: Manager) -> None:
    """Ready, reloading with the moment that is asked for, ready again, stopping with time to do so."""
    async with Notifier({"NOTIFY_SOCKET": manager.name}, lambda: "serving:\n 3 listeners", pid=77) as notifier:
        assert notifier.beat_seconds is None
        notifier.ready()
        assert manager.heard() == [{"READY": "1", "MAINPID": "77", "STATUS": "serving: 3 listeners"}]
        notifier.reloading()
        (word,) = manager.heard()
        assert word.pop("RELOADING") == "1"
        assert re.fullmatch(r"\d+", word.pop("MONOTONIC_USEC"))
        assert word == {}
        notifier.ready()
        assert manager.heard()[0]["READY"] == "1"
        notifier.stopping(lambda: 3.0)
        (word,) = manager.heard()
        assert word["STOPPING"] == "1"
        # What is left, and some time beyond.
        assert 8_000_000 <= int(word["EXTEND_TIMEOUT_USEC"]) <= 15_000_000


async def test_beats_news_and_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop beats at half of what is asked, says what is new, and asks for more time while it stops."""
    monkeypatch.setattr(systemd, "STATUS_SECONDS", 0.0)
    monkeypatch.setattr(systemd, "_TICK_SECONDS", 0.02)
    said = ["one"]
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "77"}
    async with Notifier(environ, lambda: said[0], pid=77) as notifier:
        assert notifier.beat_seconds == pytest.approx(0.01)
        heard: list[dict[str, str]] = []

        def came(name: str, count: int) -> bool:
            heard.extend(manager.heard())
            return sum(name in word for word in heard) >= count

        await soon(lambda: came("WATCHDOG", 3))
        notifier.ready()
        said[0] = "two"
        await soon(lambda: came("STATUS", 2))
        assert [word["STATUS"] for word in heard if "STATUS" in word] == ["one", "two"]
        notifier.stopping(lambda: 60.0)
        await soon(lambda: came("EXTEND_TIMEOUT_USEC", 3))


async def test_a_loop_that_hangs_does_not_beat(manager: Manager) -> None:
    """The beat is the loop's own: no thread beats for it."""
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "20000"}
    async with Notifier(environ, lambda: ""):
        await soon(lambda: bool(manager.heard()))
        until = asyncio.get_running_loop().time() + 0.1
        while asyncio.get_running_loop().time() < until:
            pass
        assert manager.heard() == []


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative"])
async def test_nobody_is_told_where_nobody_asks(name: str) -> None:
    """No address, or one of another kind: no socket, no task, and no beat."""
    before = len(asyncio.all_tasks())
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"}
    async with Notifier(environ, lambda: "") as notifier:
        assert len(asyncio.all_tasks()) == before
        assert notifier.beat_seconds is None
        notifier.ready()
        notifier.reloading()
        notifier.stopping(lambda: 1.0)


async def test_a_manager_that_is_gone_or_does_not_read_delays_nothing(tmp_path: Path) -> None:
    """Words are lost, and that is all."""
    async with Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, lambda: "", clock=Clock()) as notifier:
        notifier.ready()
    deaf = Manager(str(tmp_path / "deaf"))
    async with Notifier({"NOTIFY_SOCKET": deaf.name}, lambda: "x" * 1000) as notifier:
        for _ in range(2000):
            notifier.ready()
    assert len(deaf.heard()) < 2000
    deaf.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "x"},
        {},
    ],
)
def test_a_beat_that_is_not_asked_of_us(asked: dict[str, str], tmp_path: Path) -> None:
    """Of another process, or of nobody."""
    assert Notifier({"NOTIFY_SOCKET": str(tmp_path), **asked}, lambda: "").beat_seconds is None


# -- sockets -----------------------------------------------------------------------------------------------------------


def handed(*kinds: tuple[int, int]) -> int:
    """New sockets at numbers of their own, one behind the other; the first number."""
    made = [socket.socket(*kind) for kind in kinds]
    first = max(one.fileno() for one in made) + 20
    for number, one in enumerate(made):
        os.dup2(one.fileno(), first + number)
        one.close()
    return first


def test_sockets_that_are_handed_over() -> None:
    """As many as are told, for this process, and for none that it starts."""
    first = handed((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM))
    environ = {"LISTEN_PID": "77", "LISTEN_FDS": "2"}
    found = activated(environ, pid=77, first=first)
    assert [one.family for one in found] == [socket.AF_INET, socket.AF_INET6]
    assert not any(one.get_inheritable() for one in found)
    assert not any(one.getblocking() for one in found)
    for one in found:
        one.close()


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}])
def test_those_of_others_are_left_alone(environ: dict[str, str]) -> None:
    """Of a parent that did not clear its environment, say."""
    assert activated(environ) == []


@pytest.mark.parametrize("kind", [(socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)])
def test_sockets_of_other_kinds_are_refused(kind: tuple[int, int]) -> None:
    """In a sentence, and all are closed."""
    first = handed((socket.AF_INET, socket.SOCK_STREAM), kind)
    with pytest.raises(StartError, match="must be TCP sockets"):
        activated({"LISTEN_PID": "77", "LISTEN_FDS": "2"}, pid=77, first=first)
    for number in (first, first + 1):
        with pytest.raises(OSError):
            os.fstat(number)


@pytest.mark.parametrize("count", ["1", "many"])
def test_numbers_that_are_none_are_refused(count: str) -> None:
    """A file that is not there, or no number at all."""
    with pytest.raises(StartError):
        activated({"LISTEN_PID": "77", "LISTEN_FDS": count}, pid=77, first=9000)


def test_what_is_meant_for_one_process_is_not_passed_on() -> None:
    """The rest of the environment is."""
    ours = dict.fromkeys(systemd.OURS, "x")
    assert without_ours({**ours, "PATH": "/bin"}) == {"PATH": "/bin"}

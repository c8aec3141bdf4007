"""Icecast: its configuration, what is missing, and the whole where it is installed.

Invariant under test: listeners get MP3 at the pace that was asked for, and the process that counts is the server.
It must not know what the sound is.
"""

import asyncio
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest

from gateway.bench.benches import BenchError
from gateway.bench.peers import icecast
from gateway.bench.peers.table import PEERS
from transcode.framer import Framer


def test_it_becomes_somebody_only_if_it_must() -> None:
    """And everything is written in its own place."""
    somebody = pwd.getpwuid(os.getuid())
    document = ElementTree.fromstring(icecast.configuration(Path("here"), 4711, "secret", somebody))
    assert document.findtext("listen-socket/port") == "4711"
    assert document.findtext("paths/logdir") == "here"
    assert document.findtext("security/changeowner/user") == somebody.pw_name
    document = ElementTree.fromstring(icecast.configuration(Path("here"), 4711, "secret", None))
    assert document.find("security/changeowner") is None


@pytest.mark.parametrize("root", [True, False])
def test_the_folder_is_given_to_who_it_becomes(root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root only."""
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append(user))
    file = icecast._prepare(tmp_path, 4711, "secret")
    assert ("<changeowner>" in file.read_text()) is root
    assert len(given) == root


async def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start says the same."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert PEERS["icecast"].missing() == "Icecast is not installed"
    with pytest.raises(BenchError, match="the peer icecast did not start: Icecast is not installed"):
        async with PEERS["icecast"].start(300, 0.02, None):
            pass


async def test_it_does_what_a_peer_does(need: Callable[[str], str]) -> None:
    """Where it is installed: what comes is MP3 whose frames follow one another; all of it ends."""
    need("icecast2")
    async with PEERS["icecast"].start(2000, 0.02, None) as running:
        (pid,) = running.pids

        async def hear() -> bytes:
            async with aiohttp.ClientSession() as session, session.get(running.url) as answer:
                assert (answer.status, answer.content_type) == (200, "audio/mpeg")
                return await answer.content.readexactly(20_000)

        async with asyncio.timeout(20):
            heard = await asyncio.gather(*(hear() for _ in range(20)))
    for sound in heard:
        frames = Framer().feed(sound)
        assert sum(len(frame.data) for frame in frames) > 15_000
        assert sum(frame.discontinuity for frame in frames) <= 1
    assert not os.path.exists(f"/proc/{pid}")

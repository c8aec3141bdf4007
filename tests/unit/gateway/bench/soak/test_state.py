"""What a gateway holds, read from a page of metrics of the test's own and from this very process.

Invariant under test: the page's figures are found under their names, and waiting for calm ends in every case.
It must not know a gateway.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bench.soak import state as module
from gateway.bench.soak.state import State, idle, look
from gateway.bench.stage import Server

PAGE = """wavegate_listeners{codec="mp3",transport="http"} %(listeners)d
wavegate_listeners{codec="aac",transport="hls"} 1.0
wavegate_streams_active 2.0
wavegate_retained_streams 3.0
wavegate_retained_bytes 4.096e+03
wavegate_connections{kind="http"} 5.0
wavegate_renditions_active{codec="aac"} 6.0
wavegate_upstream_concurrency{state="used"} 7.0
wavegate_upstream_concurrency{state="limit"} 1000.0
wavegate_upstream_queue 8.0
wavegate_codec_worker_memory_bytes 9.0
wavegate_codec_workers 2.0
wavegate_event_loop_tasks 11.0
"""
CALM = "wavegate_listeners 0.0\nwavegate_codec_workers 2.0\nwavegate_event_loop_tasks 3.0\n"


class Told(Server):
    """Says these pages one after the other, and the last again and again."""

    async def metrics(self) -> str:
        pages = self.complaints.read_text().split("--\n")
        if len(pages) > 1:
            self.complaints.write_text("--\n".join(pages[1:]))
        return pages[0]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    return Told(os.getpid(), "", "", "", tmp_path / "pages")


pytestmark = pytest.mark.blocking("a file is the page, and /proc is read between measurements")


async def test_everything_is_found(gateway: Told) -> None:
    """Sums over series; of the provider's calls those that are out."""
    gateway.complaints.write_text(PAGE % {"listeners": 4})
    found = await look(gateway)
    assert list(found.of_guests.values()) == [5, 2, 3, 4096, 5, 6, 7, 8]
    assert (found.codec_memory, found.workers, found.tasks) == (9, 2, 11)
    assert found.memory > 1 << 20
    assert found.files > found.sockets > 0
    assert found.threads >= 1


async def test_calm_is_waited_for(gateway: Told) -> None:
    """Nobody there, every worker back, and no more than before of what can be counted."""
    busy = PAGE % {"listeners": 4}
    fewer = CALM.replace("workers 2", "workers 1")
    more = CALM.replace("tasks 3", "tasks 4")
    gateway.complaints.write_text("--\n".join([busy, fewer, CALM]))
    before = await idle(gateway, 2)
    assert (before.tasks, before.workers, before.listeners) == (3, 2, 0)
    gateway.complaints.write_text("--\n".join([more, CALM]))
    after = await idle(gateway, 2, replace(before, files=1 << 20, sockets=1 << 20, threads=1 << 20, processes=1 << 20))
    assert after.tasks == 3


async def test_who_is_never_calm_is_not_waited_for(gateway: Told) -> None:
    """Then it is told as it is."""
    gateway.complaints.write_text(PAGE % {"listeners": 4})
    assert (await idle(gateway, 2, seconds=0.01)).listeners == 5


def test_more_is_a_difference() -> None:
    """Of each figure."""
    before = State(*range(16))
    more = replace(before, threads=before.threads + 2, files=0).more(before)
    assert (more["threads"], more["files"], more["tasks"]) == (2, -2, 0)

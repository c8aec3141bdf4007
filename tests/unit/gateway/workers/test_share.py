"""A worker's share: what is divided, and what is not.

Invariant under test: all shares make the whole, and what means no limit goes on meaning that.
It must not know which of the workers it is for.
"""

import os

import pytest

from gateway.config.schema import Config, Transcode
from gateway.config.server import Server
from gateway.workers.share import share


def of(workers: int, *, transcode: int | None = None, **server: int | None) -> Config:
    options = {"max_connections": 20_000} | server
    return share(
        Config(server=Server(workers=workers, **options), transcode=Transcode(workers=transcode)),  # type: ignore[arg-type]  # by name
        memory=lambda: 1000,
    )


def test_the_machine_is_divided() -> None:
    """Connections and memory, rounded up; of the memory that was found, what a single process would take."""
    found = of(3).server
    assert (found.max_connections, found.max_memory_bytes) == (6667, 284)
    assert of(2, max_memory_bytes=999).server.max_memory_bytes == 500
    assert (found.internal_host, found.internal_port) == ("127.0.0.1", 0)
    assert found.workers == 3


def test_the_balancers_time_is_the_supervisors() -> None:
    """A worker that is replaced need not give it."""
    found = of(2, drain_delay=5, drain_timeout=7).server
    assert (found.drain_delay, found.drain_timeout) == (0, 7)


def test_no_limit_stays_none() -> None:
    """0 is none, of either; where no memory is told, there is no mark."""
    found = of(3, max_connections=0, max_memory_bytes=0).server
    assert (found.max_connections, found.max_memory_bytes) == (0, 0)
    assert share(Config(server=Server(workers=2)), memory=lambda: None).server.max_memory_bytes == 0


@pytest.mark.parametrize(
    ("processors", "workers", "encoders"), [(16, 2, 7), (16, 4, 3), (4, 2, 1), (2, 2, 1), (1, 3, 1)]
)
def test_codec_processes_are_divided(
    processors: int, workers: int, encoders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One less than there are processors, over all workers; at least one each. A number that was set is each one's."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
    assert of(workers).transcode.workers == encoders
    assert of(workers, transcode=5).transcode.workers == 5
    assert of(workers, transcode=0).transcode.workers == 0
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert of(workers).transcode.workers == encoders

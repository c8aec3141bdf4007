"""The stage of a load test: real processes, and what keeps them from starting.

Invariant under test: the gateway is alone on its processor, nobody is left, and this process gets its own back.
It must not measure.
"""

import json
import os
from pathlib import Path

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.stage import LONGEST, Missing, Stage, crowd, prompt, server, settings, stage
from gateway.bench.usage import children, split_processors
from gateway.config.load import load
from gateway.upstream.simulator.scenario import read


@pytest.mark.blocking("files and /proc are read between measurements, when nobody waits")
async def test_everybody_is_where_it_belongs() -> None:
    """A gateway with a provider and a crowd, one song, one listener, and nothing to complain of."""
    before, running = os.sched_getaffinity(0), children(os.getpid())
    processor, others = split_processors()
    async with stage() as here, server(here.provider, here.processor) as gateway, crowd(8, here.others) as everybody:
        assert os.sched_getaffinity(gateway.pid) == {processor}
        assert os.sched_getaffinity(0) == others
        assert bool(here.rows()) is (processor in others)
        stream = await gateway.order(prompt(1.0))
        where = {"url": gateway.public, "key": gateway.key, "streams": (stream,)}
        assert (await everybody.join("a", "websocket", count=1, since="start", **where)).joined == 1
        assert "\nwavegate_listeners" in await gateway.metrics()
        assert [held["id"] for held in await gateway.streams()] == [stream]
        found = await everybody.end(20.0)
        assert (found.groups["a"].whole, found.groups["a"].faults) == (1, {})
        with pytest.raises(Missing, match=r"0 of 2 listeners got sound within 0\.5 s: wire: refused with 404"):
            await everybody.join("b", "http", count=2, seconds=0.5, **{**where, "streams": ("st_unknown",)})
        assert await everybody.leave("a") == 1
        assert gateway.cpu() > 0
        assert gateway.resident() > 1 << 20
        assert " warning " not in gateway.complaints.read_text()
    assert os.sched_getaffinity(0) == before
    assert children(os.getpid()) == running


@pytest.mark.blocking("a file is read once nothing runs any more")
async def test_a_gateway_that_does_not_start_says_why() -> None:
    """In its own words."""
    processor, _ = split_processors()
    with pytest.raises(BenchError, match=r"has ended too soon\..*relay"):
        async with server("http://127.0.0.1:1", processor, {"relay": {"no_such_key": 1}}):
            pass


def test_one_processor_is_told() -> None:
    """Beside the figures."""
    assert Stage("http://x", 0, frozenset({1})).rows() == []
    (row,) = Stage("http://x", 0, frozenset({0})).rows()
    assert "shares it" in row.spread


def test_the_configuration_is_good(tmp_path: Path) -> None:
    """Without a warning, and without limits."""
    file = tmp_path / "wavegate.yaml"
    file.write_text(json.dumps(settings("http://127.0.0.1:1", "key")))
    loaded = load(file, {})
    assert loaded.warnings == []
    assert loaded.config.tenants[0].limits.listeners == 0
    assert loaded.config.tenants[0].limits.concurrent_streams == 0


def test_a_prompt_is_a_scenario() -> None:
    """At its own speed, and no longer than songs are."""
    scenario = read(prompt(1e9, 3).partition("[[")[2].partition("]]")[0])
    assert (scenario.seconds, scenario.speed, scenario.slice, scenario.bitrate) == (LONGEST, 1.0, 3072, 128_000)
    assert prompt(1.0, 1) != prompt(1.0, 2)

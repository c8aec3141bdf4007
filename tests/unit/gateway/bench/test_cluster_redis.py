"""A redis-server for a bench: a real one, what it counts, and what happens where there is none.

Invariant under test: commands of scripts are told apart from what was sent, and no process is left.
It must not know what is kept there.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.bench import cluster_redis
from gateway.bench.benches import BenchError
from gateway.bench.cluster_redis import commands, redis_server, since
from gateway.bench.usage import children
from gateway.redis.connection import Redis
from tests.support.server import soon

pytestmark = pytest.mark.blocking("a bench looks at files of the system between its turns")


async def test_what_is_sent_and_what_is_done(need: Callable[[str], str]) -> None:
    """A script is one command that was sent, and two that were done; asking counts as neither."""
    need("redis-server")
    processes, processors = children(os.getpid()), os.sched_getaffinity(0)
    async with redis_server(processors) as server, Redis(server.url) as redis:
        before = await server.commands()
        async with server.sent() as sent:
            await redis.call("SET", "a", "x" * 100_000)
            await redis.call("EVAL", "return redis.call('GET', 'a')", 0)
            await soon(lambda: sent.total() == 2)
        assert sent == {"set": 1, "eval": 1}
        assert since(before, await server.commands()) == {"set": 1, "eval": 1, "get": 1}
        assert server.cpu() > 0
    assert children(os.getpid()) == processes


async def test_one_that_is_gone_says_so(need: Callable[[str], str]) -> None:
    """It was killed under us: a sentence."""
    need("redis-server")
    async with redis_server() as server:
        os.kill(server.pid, 9)
        await soon(lambda: not Path(f"/proc/{server.pid}/exe").exists())
        with pytest.raises(BenchError, match="does not answer"):
            await server.commands()


async def test_without_the_program_nothing_is_measured() -> None:
    """The sentence names what is missing."""
    with pytest.raises(BenchError, match="no-such-server, which is not installed"):
        async with redis_server(programs=["no-such-server"]):
            pass


async def test_one_that_does_not_start_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries, each of which is waited for; one that hangs is killed."""
    monkeypatch.setattr(cluster_redis, "_TRIES", 2)
    monkeypatch.setattr(cluster_redis, "_START_SECONDS", 0.1)
    for number, words in enumerate(("exit 1", "exec sleep 60")):
        program = tmp_path / f"server-{number}"
        await asyncio.to_thread(program.write_text, f"#!/bin/sh\n{words}\n")
        await asyncio.to_thread(program.chmod, 0o755)
        with pytest.raises(BenchError, match="has not started"):
            async with redis_server(programs=[str(program)]):
                pass


def test_a_subcommand_counts_as_its_command() -> None:
    """What we ask ourselves is left out."""
    told = {
        "cmdstat_xgroup|create": {"calls": 2},
        "cmdstat_xgroup|destroy": {"calls": 1},
        "cmdstat_info": {"calls": 9},
        "cmdstat_client|setinfo": {"calls": 4},
    }
    assert commands(told) == {"xgroup": 3}
    assert since({"xgroup": 3}, {"xgroup": 3, "get": 1}) == {"get": 1}

"""A redis-server for a bench: a process of its own on a free port of the loopback, which keeps nothing on a disk.

Invariant: it does not outlive its context; what it counted is its own figure, the asking taken off.
It must not know what is kept there.
"""

import asyncio
import os
import re
import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.bench.benches import BenchError
from gateway.bench.programs import leash
from gateway.bench.usage import processor_seconds
from gateway.errors import ServiceError
from gateway.redis.connection import Redis

PROGRAMS = ("redis-server", "valkey-server")
_HOST = "127.0.0.1"
_TRIES = 5  # others may take the port between our look and its start
_START_SECONDS = 10.0
_SENT = re.compile(rb'\+\S+ \[\d+ (?!lua\])\S+\] "([A-Za-z]+)"')
_LINE_MOST = 1 << 20
# What we ask, and what a connection says at its beginning.
_OURS = ("info", "monitor", "ping", "hello", "client", "auth", "select")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One that answers at `url`."""

    url: str
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return processor_seconds([self.pid])

    async def commands(self) -> dict[str, int]:
        """How often each command was carried out so far, also within scripts. Raises BenchError."""
        try:
            async with Redis(self.url) as redis:
                return commands(await redis.call("INFO", "commandstats"))
        except ServiceError:
            raise BenchError("redis-server does not answer.") from None

    @asynccontextmanager
    async def sent(self) -> AsyncIterator["Counter[str]"]:
        """How often clients send each command meanwhile, by MONITOR, which tells those of scripts apart."""
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=_LINE_MOST)
        counts: Counter[str] = Counter()
        try:
            writer.write(b"MONITOR\r\n")
            await reader.readline()
            counting = asyncio.create_task(_count(reader, counts))
            try:
                yield counts
            finally:
                counting.cancel()
                await asyncio.wait([counting])
        finally:
            writer.close()


async def _count(reader: asyncio.StreamReader, counts: "Counter[str]") -> None:
    while line := await reader.readline():
        if found := _SENT.match(line):
            name = found[1].decode().lower()
            if name not in _OURS:
                counts[name] += 1


def commands(told: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """What INFO commandstats tells, without what asking for it costs; a subcommand counts as its command."""
    found: dict[str, int] = {}
    for entry, about in told.items():
        name = entry.removeprefix("cmdstat_").partition("|")[0]
        if name not in _OURS:
            found[name] = found.get(name, 0) + about["calls"]
    return found


def since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What has come between."""
    return {name: calls - before.get(name, 0) for name, calls in after.items() if calls > before.get(name, 0)}


@asynccontextmanager
async def redis_server(
    processors: Collection[int] = (), programs: Collection[str] = PROGRAMS
) -> AsyncIterator[RedisServer]:
    """The first of these programs that is installed, on these processors. Raises BenchError where there is none."""
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None:
        raise BenchError(f"this needs {' or '.join(programs)}, which is not installed.")
    process, port = await _started(found)
    try:
        if processors:
            os.sched_setaffinity(process.pid, processors)
        yield RedisServer(f"redis://{_HOST}:{port}/0", process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _started(found: str) -> tuple[asyncio.subprocess.Process, int]:
    for _ in range(_TRIES):
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = probe.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            found,
            *("--port", str(port), "--bind", _HOST, "--save", "", "--appendonly", "no", "--daemonize", "no"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=leash(),
        )
        if await _answers(process, port):
            return process, port
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    raise BenchError(f"{found} has not started.")


async def _answers(process: asyncio.subprocess.Process, port: int) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(_HOST, port)
                    writer.close()
                    return True
                await asyncio.sleep(0.01)  # it tells nobody when it is ready
    return False

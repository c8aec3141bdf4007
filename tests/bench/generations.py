"""Many generations at once for some minutes: does the gateway's memory stay flat, and is nothing left behind?

    python -m tests.bench.generations [--streams 500] [--seconds 120] [--warm-up 30] [--tolerance 5] [--format mp3]

The gateway is `wavegate serve` in a process of its own, and so is the simulator; who listens is here, so the resident
memory that the kernel tells of the gateway is the gateway's alone. The streams start evenly over the length of a song
and are replaced as they end: once the first have ended, as many start as end, and what memory does then is a trend.
Flat means that the median of the last quarter of the time is at most `--tolerance` percent above the second quarter's.
Invariant: exit code 0 only if no stream failed, as many ran as were asked for, nothing was warned of, every gauge
ended at zero, and memory was flat. All traffic stays on the loopback.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import aiohttp
import uvloop

from gateway.config.secret import key_hash

KEY = "bench"
SONG_SECONDS = 20
SONG = f"[[scale seconds={SONG_SECONDS} speed=1 wait=0.2]] a scale sung by very many"
# The part of the streams that has to run, as a median: on a machine that is busy otherwise songs come to end together,
# and for a moment few run.
ENOUGH = 0.95
# Finished songs go soon, else they are what grows; not so soon that a client on a busy machine asks too late for one.
RETAIN_SECONDS = 10.0
PRINT_EVERY = 10
GAUGES = re.compile(
    r'^wavegate_(streams_active|listeners\{.*|upstream_concurrency\{state="used"\}|renditions_active\{.*) (\S+)$',
    re.MULTILINE,
)


@dataclass(slots=True)
class Run:
    """What is asked for, and what has been seen. After the warm-up: `resident` is in MiB, `running` is streams."""

    streams: int
    seconds: float
    warm_up: float
    tolerance: float
    form: str
    ended: Counter[str] = field(default_factory=Counter)
    resident: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """Percent by which the last quarter's median is above the second quarter's."""
        quarter = len(self.resident) // 4
        return 100 * (median(self.resident[-quarter:]) / median(self.resident[quarter : 2 * quarter]) - 1)

    def faults(self) -> list[str]:
        """What was not as it should be, apart from what the gateway itself said."""
        faults = []
        if set(self.ended) != {"completed"}:
            faults.append(f"not all completed: {dict(self.ended)}")
        if median(self.running) < ENOUGH * self.streams:
            faults.append(f"only {median(self.running):.0f} ran")
        if not self.left or any(self.left.values()):
            faults.append("gauges did not end at zero")
        if self.growth > self.tolerance:
            faults.append(f"memory grew by {self.growth:.1f} %")
        return faults


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    size = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert size is not None, "the kernel always says it"
    return int(size[1]) / 1024


def config(simulator: str, streams: int) -> str:
    """The gateway's file; JSON is YAML."""
    upstream = {
        "base_url": simulator,
        "requests_per_minute": 60_000,
        "max_concurrency": streams,
        "max_queue": streams,
        "max_queue_per_tenant": streams,
    }
    sections = {
        "server": {"port": 0, "internal_port": 0},
        "quota": {"store": "memory:"},
        "upstream": upstream,
        "relay": {"retain_seconds": RETAIN_SECONDS},
        "tenants": [{"id": "bench", "keys": [key_hash(KEY)], "limits": {"concurrent_streams": 0}}],
        "log": {"level": "warning"},
    }
    return json.dumps(sections)


@asynccontextmanager
async def program(
    arguments: Sequence[str], pattern: str, errors: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[int, list[str]]]:
    """A wavegate command until it is no longer needed: its process id, and the addresses it says when it is ready.

    What it writes to standard error goes to the file `errors`.
    """
    with errors.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env={**os.environ, **(environment or {})},
        )
    try:
        assert process.stdout is not None
        said = b""
        while not (found := re.search(pattern, said.decode(), re.DOTALL)):
            line = await asyncio.wait_for(process.stdout.readline(), 20)
            assert line, errors.read_text()
            said += line
        yield process.pid, list(found.groups())
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def one(http: aiohttp.ClientSession, base: str, until: float, ended: Counter[str], form: str) -> None:
    """Orders songs one after another and hears each to its end."""
    while time.monotonic() < until:
        async with http.post(f"{base}/v1/streams", json={"input": {"prompt": SONG}}) as response:
            stream = await response.json()
        if response.status == 201:
            async with http.get(stream["urls"]["audio"].replace(".mp3", f".{form}")) as response:
                async for _ in response.content.iter_any():
                    pass
            async with http.get(f"{base}/v1/streams/{stream['id']}") as response:
                stream = await response.json()
        ended[stream["status"] if response.status == 200 else f"HTTP {response.status}"] += 1


async def started_later(delay: float, http: aiohttp.ClientSession, base: str, until: float, run: Run) -> None:
    await asyncio.sleep(delay)
    await one(http, base, until, run.ended, run.form)


async def gauges(http: aiohttp.ClientSession, internal: str) -> dict[str, float]:
    """What the gateway itself counts: streams, listeners, turns at the provider that are taken."""
    async with http.get(internal) as response:
        page = await response.text()
    return {name: float(value) for name, value in GAUGES.findall(page)}


async def measure(run: Run, pid: int, base: str, internal: str) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        begin = time.monotonic()
        until = begin + run.warm_up + run.seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(run.streams):
                delay = SONG_SECONDS * number / run.streams
                tasks.create_task(started_later(delay, http, base, until, run))
            print("  s     running  ended    MiB")
            second = 0
            while begin + second < until - 1:
                second += 1
                await asyncio.sleep(max(0.0, begin + second - time.monotonic()))
                now = resident(pid)
                warm = second > run.warm_up
                if warm:
                    run.resident.append(now)
                if second % PRINT_EVERY == 0:
                    active = (await gauges(http, internal))["streams_active"]
                    if warm:
                        run.running.append(active)
                    print(
                        f"{second:5d} {active:8.0f} {run.ended.total():6d} {now:8.1f}{'' if warm else '  warming up'}",
                        flush=True,
                    )
        await asyncio.sleep(RETAIN_SECONDS + 3)
        run.left = await gauges(http, internal)
        print(f"all over {run.ended.total():6d} ended {resident(pid):8.1f} MiB")


async def main(run: Run) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        one_address, two_addresses = r"(http://\S+?),", r"public\s+(\S+)\n.*internal\s+(\S+)\n"
        async with program(["simulate", "--port", "0"], one_address, there / "simulator.log") as (_, (simulator,)):
            file = there / "wavegate.yaml"
            file.write_text(config(simulator, run.streams), encoding="utf-8")
            said, key = there / "gateway.log", {"DASHSCOPE_API_KEY": "sk-bench"}
            async with program(["serve", "--config", str(file)], two_addresses, said, key) as (pid, (base, internal)):
                await measure(run, pid, base, internal)
        # All that it says beside this sentence is a warning or worse: the file asks for no more.
        warned = [line for line in said.read_text().splitlines() if not line.startswith("stopping: ")]
    faults = run.faults() + [f"warned: {line}" for line in warned[:10]]
    print(
        f"{median(run.running):.0f} ran (at times {min(run.running):.0f}), {run.ended.total()} ended, gauges {run.left}"
        f"\n{len(warned)} warnings; from the second quarter to the last memory grew by {run.growth:+.1f} % "
        f"(at most {run.tolerance:g})"
    )
    print("\n".join(faults) or "flat, and nothing left behind")
    return not faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it is measured, after the warm-up")
    parser.add_argument("--warm-up", type=float, default=30.0, help="seconds; a song and a half by default")
    parser.add_argument("--tolerance", type=float, default=5.0, help="percent")
    parser.add_argument("--format", default="mp3", help="in which all songs are heard; mp3 is how they are ordered")
    options = parser.parse_args()
    if options.seconds < 2 * PRINT_EVERY:
        parser.error(f"less than {2 * PRINT_EVERY} seconds tell nothing")
    chosen = Run(options.streams, options.seconds, options.warm_up, options.tolerance, options.format)
    sys.exit(0 if uvloop.run(main(chosen)) else 1)

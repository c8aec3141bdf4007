"""Many generations at once for some minutes: does the gateway's memory stay flat, and is nothing left behind?

    python -m tests.bench.generations [--streams 500] [--seconds 120]

The simulator runs in a process of its own; the gateway runs here, and its resident memory is read from the kernel.
Streams that end are replaced, so that as many run all the time. All traffic stays on the loopback.
Invariant: exit code 0 only if no stream failed, nothing was warned of, and every gauge ended at zero.
"""

import argparse
import asyncio
import gc
import logging
import re
import sys
import time
from pathlib import Path

import aiohttp
import uvloop

from gateway.app import Gateway
from gateway.config.schema import Config, Limits, Relay, Server, Tenant, Upstream
from gateway.config.secret import key_hash

KEY = "bench"
SONG = "[[scale seconds=20 speed=1 wait=0.2]] a scale sung by very many"


class Warnings(logging.Handler):
    """Counts what was logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def resident() -> float:
    """This process's resident memory in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index] - the kernel always says it


def config(simulator: str, streams: int) -> Config:
    return Config(
        server=Server(port=0, internal_port=0),
        upstream=Upstream(
            base_url=simulator,
            requests_per_minute=60_000,
            max_concurrency=streams,
            max_queue=streams,
            max_queue_per_tenant=streams,
            audio_hosts=["127.0.0.1:*"],
        ),
        # Finished songs go soon, else they are what grows.
        relay=Relay(retain_seconds=2.0),
        tenants=[Tenant(id="bench", keys=[key_hash(KEY)], limits=Limits(concurrent_streams=0, streams_per_minute=0))],
    )


async def one(http: aiohttp.ClientSession, base: str, until: float, ended: dict[str, int]) -> None:
    """Orders songs one after another and hears each to its end."""
    while time.monotonic() < until:
        async with http.post(f"{base}/v1/streams", json={"input": {"prompt": SONG}}) as response:
            stream = await response.json()
        if response.status == 201:
            async with http.get(stream["urls"]["audio"]) as response:
                async for _ in response.content.iter_any():
                    pass
            async with http.get(f"{base}/v1/streams/{stream['id']}") as response:
                stream = await response.json()
        outcome = stream["status"] if response.status == 200 else f"HTTP {response.status}"
        ended[outcome] = ended.get(outcome, 0) + 1


async def measure(base: str, internal: str, streams: int, seconds: float) -> bool:
    ended: dict[str, int] = {}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        begin = time.monotonic()
        jobs = [asyncio.create_task(one(http, base, begin + seconds, ended)) for _ in range(streams)]
        print("  s     running  ended    MiB")
        while time.monotonic() < begin + seconds:
            await asyncio.sleep(10)
            async with http.get(f"{internal}/metrics") as response:
                page = await response.text()
            active = float(re.search(r"^wavegate_streams_active (\S+)", page, re.M)[1])  # type: ignore[index] - always there
            print(
                f"{time.monotonic() - begin:5.0f} {active:8.0f} {sum(ended.values()):6d} {resident():8.1f}", flush=True
            )
        await asyncio.gather(*jobs)
        await asyncio.sleep(4)
        gc.collect()
        async with http.get(f"{internal}/metrics") as response:
            page = await response.text()
    left = re.findall(
        r'^wavegate_(?:streams_active|listeners\{.*|upstream_concurrency\{state="used"\}) (\S+)$', page, re.M
    )
    tasks = len(asyncio.all_tasks())
    print(f"ended {ended}, gauges {left}, tasks {tasks}, {resident():.1f} MiB")
    return set(ended) == {"completed"} and not any(map(float, left))


async def main(streams: int, seconds: float) -> bool:
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    program = (sys.executable, "-m", "gateway", "simulate", "--port", "0")
    simulator = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        assert simulator.stdout is not None
        said = await asyncio.wait_for(simulator.stdout.readline(), 20)
        address = re.search(r"http://\S+?(?=,)", said.decode())
        assert address is not None, said
        async with Gateway(config(address[0], streams), "sk-bench") as gateway:
            good = await measure(gateway.addresses.public, gateway.addresses.internal, streams, seconds)
    finally:
        simulator.terminate()
        await simulator.wait()
    for text in warnings.texts[:10]:
        print("warned:", text)
    return good and not warnings.texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    sys.exit(0 if uvloop.run(main(options.streams, options.seconds)) else 1)

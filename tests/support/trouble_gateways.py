"""Scenes of trouble with gateways as programs: processes that die, stand still or lack something, files that are wrong.

Each is a context: inside of it the trouble goes on; when it is left the cause is gone, and the gateway goes on.
Invariant: what makes the trouble is what makes it at an operator's: signals, limits, files.
It must not know the alerts.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.redis import redis_server
from tests.support.scenes import Stage, again, stopped_and_going


@asynccontextmanager
async def encoders_die(stage: Stage) -> AsyncIterator[None]:
    """Each is killed as soon as there is one."""
    served = await stage.serve("encoders_die", transcode={"workers": 3})

    async def kill() -> None:
        for pid in served.children("transcode.worker"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async with again(kill, 0.5):
        yield


@asynccontextmanager
async def nobody(stage: Stage) -> AsyncIterator[None]:
    """Nothing of that name is watched, until one is started; then it is stopped as a debugger would."""
    yield
    await stage.serve("wavegate")


@asynccontextmanager
async def stuck(stage: Stage) -> AsyncIterator[None]:
    served = await stage.serve("wavegate")
    os.kill(served.program.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(served.program.pid, signal.SIGCONT)


@asynccontextmanager
async def no_processor(stage: Stage) -> AsyncIterator[None]:
    """It has one for moments, while it sends a song to many as fast as it can."""
    served = await stage.serve("no_processor")

    async def crowd() -> None:
        stream = await stage.order(served.public, "[[scale seconds=120 speed=0]] as fast as it goes", format="wav")

        async def listen() -> None:
            url = f"{served.public}/v1/streams/{stream['id']}/audio.wav"
            async with stage.http.get(url, headers={"Authorization": "Bearer wg_acme"}) as response:
                async for _ in response.content.iter_any():
                    pass

        await asyncio.gather(*[listen() for _ in range(60)])

    async with again(crowd), stopped_and_going(served.program.pid, 0.35, 0.03, 0.3):
        yield


@asynccontextmanager
async def workers_die(stage: Stage) -> AsyncIterator[None]:
    redis = await stage.stack.enter_async_context(redis_server(stage.need("redis-server")))
    served = await stage.serve("workers_die", "--workers", "2", cluster={"redis_url": redis.url})

    async def kill() -> None:
        for pid in served.children("gateway")[:1]:
            os.kill(pid, signal.SIGKILL)

    async with again(kill, 10.0):
        yield


@asynccontextmanager
async def much_memory(stage: Stage) -> AsyncIterator[None]:
    """A mark a little above what it takes; then it is started again with a higher one, at the same address."""
    served = await stage.serve("wavegate")
    async with stage.http.get(f"{served.internal}/metrics") as response:
        page = await response.text()
    (resident,) = [float(line.split()[1]) for line in page.splitlines() if line.startswith("process_resident")]
    port = int(served.internal.rpartition(":")[2])
    for share in (1.04, 4.0):
        await served.program.stop()
        served.write(server={"internal_port": port, "max_memory_bytes": round(resident * share)})
        await stage.start(served)
        if share < 2:
            yield


@asynccontextmanager
async def many_files(stage: Stage) -> AsyncIterator[None]:
    """A limit such as a careless unit has, and connections that say nothing yet."""
    served = await stage.serve("wavegate", before=("prlimit", "--nofile=80:80"))
    host, _, port = served.public.removeprefix("http://").partition(":")

    async def connect() -> None:
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(58)]
        try:
            await asyncio.sleep(6)
        finally:
            for _, writer in opened:
                writer.close()

    async with again(connect, 0.0):
        yield


@asynccontextmanager
async def old_certificate(stage: Stage) -> AsyncIterator[None]:
    """Renewed under the eyes of the gateway."""
    chain, key = stage.folder / "chain.pem", stage.folder / "key.pem"
    await asyncio.to_thread(sign, stage.need("openssl"), chain, key, 2)
    await stage.serve("old_certificate", server={"tls_certificate_file": str(chain), "tls_key_file": str(key)})
    yield
    await asyncio.to_thread(sign, stage.need("openssl"), chain, key, 90)


def sign(openssl: str, chain: Path, key: Path, days: int) -> None:
    """A certificate for so many days."""
    wanted = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a")
    subprocess.run(
        [openssl, *wanted, "-days", str(days), "-keyout", key, "-out", chain], check=True, capture_output=True
    )


@asynccontextmanager
async def bad_configuration(stage: Stage) -> AsyncIterator[None]:
    served = await stage.serve("bad_configuration")
    served.write(relay={"no_such_key": 1})
    served.program.send(signal.SIGHUP)
    yield
    del served.settings["relay"]
    served.write()
    served.program.send(signal.SIGHUP)

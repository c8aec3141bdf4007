"""Servers from their start to the signal that ends them: the gateway, and the simulator of the provider.

Invariant: whatever was opened is closed, whichever signal came and whatever failed; what keeps a server from starting
is a sentence. It must not know the command line.
"""

import asyncio
import errno
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.app import Gateway
from gateway.config.load import ConfigError
from gateway.config.schema import Config
from gateway.errors import StartError
from gateway.upstream.recording import RecordingError
from gateway.upstream.simulator.server import Simulator

logger = logging.getLogger("wavegate")

# What a listener brings along stays as long as it does: with Python's 700 the collector looked at it again and again
# while others came, and took a sixth of the time of a join.
GC_THRESHOLDS = (20_000, 20, 20)


async def serve(config: Config, key: str | None, *, demo: bool, reload: Callable[[], Config]) -> None:
    """A gateway until it is told to stop: the first signal drains, the second stops at once. Raises StartError.

    At SIGHUP it takes tenants and limits from what `reload` gives, which may raise ConfigError.
    """
    stop, stop_now, again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (stop_now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    gateway = Gateway(config, key, demo=demo)
    try:
        await gateway.__aenter__()
    except OSError as error:
        raise StartError(_port_taken(error, config)) from None
    # What has been built stays: 120,000 objects that a full collection would look at again and again, each time for
    # 50 ms in which nobody hears anything.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        _announce(gateway.addresses.public, gateway.addresses.internal, demo=demo)
        await _first(stop.wait(), _reloading(gateway, again, reload))
        print("stopping: running streams may finish; Ctrl-C again stops at once", file=sys.stderr)
        await _first(gateway.drain(), stop_now.wait())
    finally:
        await gateway.__aexit__(None, None, None)


async def _reloading(gateway: Gateway, again: asyncio.Event, reload: Callable[[], Config]) -> None:
    """For ever: takes up what has changed, each time it is asked to; a file with a mistake in it changes nothing."""
    while True:
        await again.wait()
        again.clear()
        try:
            config = await asyncio.to_thread(reload)
            gateway.reload(config)
        except ConfigError as error:
            logger.error("the configuration has mistakes and was not taken up: %s", "; ".join(error.problems))
        except Exception:
            logger.exception("the configuration was not taken up")
        else:
            logger.info("tenants and limits were reloaded: %d tenants", len(config.tenants))


async def _first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Until one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks)
    for task in done:
        if not task.cancelled():
            task.result()


def _port_taken(error: OSError, config: Config) -> str:
    ports = f"{config.server.host}:{config.server.port} or {config.server.internal_host}:{config.server.internal_port}"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {ports}: the port is taken. Choose others with --port and --internal-port."
    return f"cannot listen on {ports}: {error.strerror or 'the address cannot be used'}."


def _announce(public: str, internal: str, *, demo: bool) -> None:
    print(f"Wavegate {__version__}")
    if demo:
        print(f"  player    {public}/        open it in a browser; the music is simulated")
        print(f"  listen    wavegate listen --server {public} --key demo --prompt 'a calm piano tune at night'")
    print(f"  public    {public}")
    print(f"  internal  {internal}/metrics", flush=True)


async def simulate(host: str, port: int, speed: float, replay: Path | None) -> None:
    """The simulator of the provider until it is told to stop. Raises StartError."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = Simulator(host=host, port=port, speed=speed, replay=replay)
    try:
        await simulator.__aenter__()
    except RecordingError as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}.") from None
    try:
        print(f"DashScope simulator at {simulator.url}, {speed:g} x real time; any key is welcome")
        print(f"  DASHSCOPE_API_KEY=any WAVEGATE__UPSTREAM__BASE_URL={simulator.url} wavegate serve", flush=True)
        await stop.wait()
    finally:
        await simulator.__aexit__(None, None, None)

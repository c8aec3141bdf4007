"""Servers from their start to the signal that ends them: the gateway, and the simulator of the provider.

Invariant: whatever was opened is closed, whichever signal came and whatever failed; what keeps a server from starting
is a sentence. It must not know the command line.
"""

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.config.changes import changes
from gateway.config.load import ConfigError
from gateway.config.schema import Config
from gateway.errors import StartError
from gateway.log import event, set_level
from gateway.server import trimming
from gateway.server.systemd import Notifier, activated
from gateway.upstream.recording import RecordingError
from gateway.upstream.simulator.server import Simulator
from gateway.workers.command import announce, say_goodbye, taken
from gateway.workers.link import Link
from gateway.workers.share import share
from metrics.exposition import render

logger = logging.getLogger("wavegate")

# What a listener brings along stays as long as it does: with Python's 700 the collector looked at it again and again
# while others came, and took a sixth of the time of a join.
GC_THRESHOLDS = (20_000, 20, 20)


async def serve(
    config: Config,
    key: str | None,
    *,
    demo: bool,
    reload: Callable[[], Config],
    link: Link | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """A gateway until it is told to stop: the first signal drains, the second stops at once. Raises StartError.

    At SIGHUP it takes the live keys from what `reload` gives, which may raise ConfigError. A worker has a `link`
    to its supervisor: there a second signal is no more than the first, since a service manager may send one to each
    process beside the supervisor's; and it says where it serves to the supervisor, not to the world. Others tell the
    service manager that `environ` names, if it names one, and listen where that has bound sockets for them.
    """
    trimming.keep_apart()
    started = config
    stop, stop_now, again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (stop_now if stop.is_set() and link is None else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    if link is not None:
        await link.open(stop.set, stop_now.set)
        config = await asyncio.to_thread(share, config)
    sockets = link.sockets if link is not None else activated(environ)
    gateway = Gateway(config, key, demo=demo, sockets=sockets)
    notifier = Notifier(environ if link is None else {}, lambda: _status(gateway))
    try:
        await gateway.__aenter__()
    except OSError as error:
        raise taken(error, config) from None
    # What has been built stays: 120,000 objects that a full collection would look at again and again, each time for
    # 50 ms in which nobody hears anything.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        async with notifier:
            if notifier.beat_seconds is not None:
                # Who is too late for the watchdog is ended by SIGABRT: then the log says where the loop hung.
                faulthandler.enable()
            try:
                tell = link.ready if link is not None else partial(announce, demo=demo)
                tell(gateway.addresses.public, gateway.addresses.internal)
                notifier.ready()
                await _first(stop.wait(), _reloading(gateway, started, again, reload, notifier), trimming.run())
                (link.leaving if link is not None else say_goodbye)()
                notifier.stopping(lambda: gateway.drainage.seconds_left)
                await _first(gateway.drain(), stop_now.wait())
            finally:
                await gateway.__aexit__(None, None, None)
    finally:
        if link is not None:
            gateway.gauges.look()
            await link.close(render(gateway.recorder.registry, "")[0].decode())


def _status(gateway: Gateway) -> str:
    """The line that the service manager shows."""
    listeners = sum(stream.here for stream in gateway.hub.streams)
    word = "draining" if gateway.drainage.began else "serving"
    return f"{word}: {gateway.hub.running} streams run, {listeners} listeners, {len(gateway.connections)} connections"


async def _reloading(
    gateway: Gateway, started: Config, again: asyncio.Event, reload: Callable[[], Config], notifier: Notifier
) -> None:
    """For ever: takes up what has changed, each time it is asked to; a file with a mistake in it changes nothing.

    What needs a restart is said each time, as long as it differs from what the gateway `started` with.
    """
    before = started
    while True:
        await again.wait()
        again.clear()
        notifier.reloading()
        try:
            config = await asyncio.to_thread(reload)
            gateway.reload(config)
            set_level(config.log.level)
            good = await gateway.renew(config)
        except ConfigError as error:
            gateway.recorder.config_reloaded(None)
            event(logger, "config.refused", reason="; ".join(error.problems))
        except Exception:
            gateway.recorder.config_reloaded(None)
            event(logger, "config.failed", exc_info=True)
        else:
            gateway.recorder.config_reloaded(time.time() if good else None)
            live, waiting = changes(before, config).live, changes(started, config).waiting
            event(
                logger, "config.reloaded", tenants=len(config.tenants), changed=list(live), needs_restart=list(waiting)
            )
            before = config
        notifier.ready()


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

"""`wavegate serve` with several workers: the supervisor's process from its start to its end.

Invariant: what keeps it from starting is a sentence, before a worker is started; it prints what a single process
prints, once. The first SIGINT or SIGTERM drains, the second stops at once, the third kills; SIGHUP is passed on, and
SIGUSR2 replaces one worker after the other: a new version or configuration is taken up while the port stays open.
It must not know what a gateway is made of: it imports no codec, and holds no stream.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web

from gateway import __version__
from gateway.config.schema import Config
from gateway.errors import StartError
from gateway.server.internal import by_its_name
from gateway.server.rest import errors
from gateway.server.systemd import Notifier, activated
from gateway.workers.internal import Internal
from gateway.workers.listening import Listening, port_taken
from gateway.workers.place import START_SECONDS, Means
from gateway.workers.supervisor import Supervisor
from gateway.workers.watchdog import watch
from gateway.workers.worker import Worker, command, environment
from metrics.recorder import Recorder
from metrics.totals import Totals

DEMO = """\
--demo is one process: leave --workers away. For several with a simulator run one beside them:
  wavegate simulate
and start the gateway as that says, with --workers."""

# A worker that is asked answers within two, unless it hangs.
LEAST_WATCH_SECONDS = 10.0
# Beyond its drain, until a worker that does not end is killed.
MORE_SECONDS = 15.0


def announce(public: str, internal: str, *, demo: bool = False) -> None:
    """Says where a gateway serves."""
    lines = [f"Wavegate {__version__}"]
    if demo:
        lines += [
            f"  player    {public}/        open it in a browser; the music is simulated",
            f"  listen    wavegate listen --server {public} --key demo --prompt 'a calm piano tune at night'",
        ]
    lines += [f"  public    {public}", f"  internal  {internal}/metrics"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def say_goodbye() -> None:
    """Says that a gateway drains."""
    sys.stderr.write("stopping: running streams may finish; Ctrl-C again stops at once\n")


def taken(error: OSError, config: Config) -> StartError:
    """What keeps a gateway from its ports."""
    server = config.server
    public, internal = f"{server.host}:{server.port}", f"{server.internal_host}:{server.internal_port}"
    return StartError(port_taken(error, public, internal))


def flags(given: Mapping[str, object]) -> list[str]:
    """A command line's flags by their names; those that are None were not given."""
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None]
    return [word for pair in pairs for word in pair]


def listening(config: Config, *, demo: bool = False, environ: Mapping[str, str] = os.environ) -> Listening:
    """The public port for all workers, if it has not been opened already. Raises StartError; it may take its time."""
    if demo:
        raise StartError(DEMO)
    if sockets := activated(environ):
        return Listening.adopted(sockets)
    try:
        return Listening(config.server.host, config.server.port, config.server.workers)
    except OSError as error:
        raise taken(error, config) from None


async def supervise(config: Config, doors: Listening, flags: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `server.workers` workers until it is told to stop; the exit code. Raises StartError.

    `flags` are those that `wavegate serve` was called with, which each worker is called with, too; it closes `doors`.
    """
    loop = asyncio.get_running_loop()
    recorder = Recorder(version=__version__, max_tenants=config.metrics.max_tenant_labels)
    async with AsyncExitStack() as stack:
        stack.callback(doors.close)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False)
        )
        line, given = command(flags), environment(environ)
        supervisor: Supervisor
        notifier: Notifier

        async def start(number: int) -> Worker:
            worker = Worker(number)
            await worker.start(line, given, doors.take(number))
            supervisor.began(worker)
            return worker

        def announced(worker: Worker) -> None:
            announce(worker.public, address)
            notifier.ready()

        internal = Internal(
            lambda: supervisor.workers,
            lambda: supervisor.serving,
            lambda: supervisor.stopping,
            client,
            recorder,
            Totals(max_tenants=config.metrics.max_tenant_labels),
        )
        address = await _open(stack, internal, config)
        supervisor = Supervisor(
            config.server.workers,
            Means(
                start=start,
                fit=lambda worker: internal.fit(worker, START_SECONDS),
                vacant=doors.release,
                restarted=recorder.worker_restarted,
                clock=time.monotonic,
                chance=random.random,
            ),
            announce=announced,
            closing=doors.close,
            gone=internal.gone,
            leave_seconds=config.server.drain_timeout + MORE_SECONDS,
            delay_seconds=config.server.drain_delay,
        )
        notifier = await stack.enter_async_context(Notifier(environ, lambda: _status(supervisor)))

        def signalled() -> None:
            if not supervisor.stopping:
                say_goodbye()
                notifier.stopping(lambda: config.server.drain_timeout)
            supervisor.signalled()

        def reload() -> None:
            notifier.reloading()
            supervisor.reload()
            notifier.ready()

        for ending in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(ending, signalled)
        loop.add_signal_handler(signal.SIGHUP, reload)
        loop.add_signal_handler(signal.SIGUSR2, supervisor.restart)
        looking = asyncio.create_task(internal.run(), name="look at workers")
        stack.callback(looking.cancel)
        if notifier.beat_seconds is not None:
            # The manager sees this process alone: who hangs behind it is seen from here.
            seconds = max(LEAST_WATCH_SECONDS, 2 * notifier.beat_seconds)
            watching = watch(lambda: supervisor.workers, internal.answers, seconds, time.monotonic)
            stack.callback(asyncio.create_task(watching, name="watch over workers").cancel)
        code = await supervisor.run()
    if code and not supervisor.announced:
        number = config.server.workers
        sys.stderr.write(f"wavegate: none of {number} workers has started: what is above says why.\n")
    return code


def _status(supervisor: Supervisor) -> str:
    """The line that the service manager shows."""
    working = sum(worker is not None for worker in supervisor.serving)
    return f"{'draining' if supervisor.stopping else 'serving'}: {working} of {len(supervisor.serving)} workers"


async def _open(stack: AsyncExitStack, internal: Internal, config: Config) -> str:
    """Opens the internal port; its address. Raises StartError."""
    application = web.Application(middlewares=[errors, by_its_name])
    application.add_routes(internal.routes())
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host = config.server.internal_host
    try:
        await web.TCPSite(runner, host, config.server.internal_port).start()
    except OSError as error:
        raise taken(error, config) from None
    return f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"

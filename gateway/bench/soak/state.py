"""What a gateway holds at a moment: memory, files, sockets, threads, processes, tasks, and what it keeps for guests.

Invariant: the kernel's figures are of the gateway's process alone, the rest is what it tells on its internal port;
waiting for it to be idle ends, whether it is or not. It must not know what was done to it.
"""

import asyncio
from dataclasses import dataclass, fields

from gateway.bench.gathering import gauge
from gateway.bench.stage import Server
from gateway.bench.usage import children, open_files, resident, threads

_IDLE_SECONDS = 90.0
_LOOK_SECONDS = 0.25
# Nothing of these is there when nobody is: what they are called, by the metric that tells them.
_OF_GUESTS = {
    "listeners": "wavegate_listeners",
    "running": "wavegate_streams_active",
    "kept": "wavegate_retained_streams",
    "kept_bytes": "wavegate_retained_bytes",
    "connections": "wavegate_connections",
    "encodes": "wavegate_renditions_active",
    "calls": "wavegate_upstream_concurrency",
    "waiting": "wavegate_upstream_queue",
}


@dataclass(frozen=True, slots=True)
class State:
    """Bytes of memory, of the gateway and of its codec workers; the rest is numbers of what there is."""

    memory: int
    codec_memory: int
    files: int
    sockets: int
    threads: int
    processes: int
    tasks: int
    workers: int
    listeners: int
    running: int
    kept: int
    kept_bytes: int
    connections: int
    encodes: int
    calls: int
    waiting: int

    @property
    def of_guests(self) -> dict[str, int]:
        """What there is for guests only."""
        return {name: getattr(self, name) for name in _OF_GUESTS}

    def more(self, other: "State") -> dict[str, int]:
        """By how much it has more of each than another state had."""
        return {one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)}


async def look(gateway: Server) -> State:
    """As it is now."""
    metrics = await gateway.metrics()
    found = {name: int(gauge(metrics, metric)) for name, metric in _OF_GUESTS.items()}
    found["calls"] = int(gauge(metrics, 'wavegate_upstream_concurrency{state="used"}'))
    opened = open_files(gateway.pid)
    return State(
        memory=resident(gateway.pid),
        codec_memory=int(gauge(metrics, "wavegate_codec_worker_memory_bytes")),
        files=len(opened),
        sockets=sum(name.startswith("socket:") for name in opened),
        threads=threads(gateway.pid),
        processes=children(gateway.pid),
        tasks=int(gauge(metrics, "wavegate_event_loop_tasks")),
        workers=int(gauge(metrics, "wavegate_codec_workers")),
        **found,
    )


async def idle(
    gateway: Server, workers: int, before: State | None = None, seconds: float = _IDLE_SECONDS, rest: float = 0.0
) -> State:
    """Its state once it is calm, and has had a `rest` of so many seconds; or after `seconds`, whatever it is then.

    It is calm with nothing for guests, `workers` codec workers, and no more of anything countable than `before`.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        state = await look(gateway)
        calm = not any(state.of_guests.values()) and state.workers == workers
        if calm and before is not None:
            more = state.more(before)
            calm = all(more[name] <= 0 for name in ("files", "sockets", "processes", "tasks"))
        if calm or loop.time() > end:
            await asyncio.sleep(rest)
            return await look(gateway)
        await asyncio.sleep(_LOOK_SECONDS)

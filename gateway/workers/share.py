"""A worker's share of what is configured for the whole machine.

Invariant: all shares together are the whole, rounded up; a limit of 0, which is none, stays none. What is counted for
all workers in one place, such as a tenant's limits, is not shared out.
It must not know which of the workers it is for.
"""

import os
from collections.abc import Callable

from msgspec.structs import replace

from gateway.config.schema import Config
from gateway.server.admission import MEMORY_SHARE
from gateway.server.resources import memory_limit


def share(config: Config, memory: Callable[[], int | None] = memory_limit) -> Config:
    """The configuration of one of `server.workers`: codec processes, connections and memory are divided.

    Its internal port is a free one of the loopback, for the supervisor. `memory` is what the machine has; reads files.
    """
    server, workers = config.server, config.server.workers
    most = server.max_memory_bytes
    if most is None:
        limit = memory()
        most = int(MEMORY_SHARE * limit) if limit is not None else 0
    encoders = config.transcode.workers
    if encoders is None:
        encoders = max(1, (_processors() - 1) // workers)
    return replace(
        config,
        server=replace(
            server,
            internal_host="127.0.0.1",
            internal_port=0,
            # The supervisor's: to be replaced, a worker takes no time but for those it has.
            drain_delay=0.0,
            # 0 means no mark of either.
            max_connections=-(-server.max_connections // workers),
            max_memory_bytes=-(-most // workers),
        ),
        transcode=replace(config.transcode, workers=encoders),
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

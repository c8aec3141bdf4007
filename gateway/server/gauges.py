"""What is not told when it happens but looked at when somebody asks for the metrics: states, and what processes take.

Invariant: a look costs the same with 10,000 listeners as with none.
It must not know how a page is made, nor who asks for it.
"""

import asyncio
from collections.abc import Callable, Sequence

from gateway.cluster.cluster import RedisCluster
from gateway.encoding.pool import EncodingPool
from gateway.server.callers import Callers
from gateway.server.connections import Connections
from gateway.server.processes import Others, own_usage
from gateway.upstream.governor import Governor
from metrics.recorder import Recorder


class Gauges:
    """Of one gateway. `unready` gives the reasons why no new work should come."""

    def __init__(
        self,
        recorder: Recorder,
        unready: Callable[[], Sequence[str]],
        connections: Connections,
        callers: Callers,
        governor: Governor,
        encodings: EncodingPool,
        cluster: RedisCluster | None,
    ) -> None:
        self._recorder = recorder
        self._unready = unready
        self._connections = connections
        self._callers = callers
        self._governor = governor
        self._encodings = encodings
        self._cluster = cluster
        self._codec_workers = Others()

    def look(self) -> None:
        """To be called right before a page is made."""
        recorder, websockets = self._recorder, self._connections.websockets
        recorder.readiness(self._unready())
        recorder.connections("websocket", websockets)
        recorder.connections("http", len(self._connections) - websockets + len(self._callers))
        self._governor.measure()
        if self._cluster is not None:
            recorder.redis_answers(up=self._cluster.ready)
            recorder.cluster_nodes(len(self._cluster.peers) + 1)
        recorder.codec_workers(len(self._encodings.workers), self._encodings.room)
        recorder.codec_workers_used(*self._codec_workers.look(self._encodings.pids))
        recorder.tasks(len(asyncio.all_tasks()))
        tell_of_process(recorder)


def tell_of_process(recorder: Recorder) -> None:
    """What this process takes."""
    usage = own_usage()
    recorder.process(usage.cpu_seconds, usage.resident, usage.open_files, usage.most_files, usage.started)

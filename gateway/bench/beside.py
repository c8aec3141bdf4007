"""The gateway beside other servers that give one message to very many: the same size, rhythm and crowd.

Invariant: a peer and the gateway are measured in turns, and each figure of a peer is held against that of the gateway
which was taken just before it; of these pairs the median is judged. A peer that cannot run here is named, no failure.
It must not know how a peer works.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

from gateway.bench.crowd.orders import Door
from gateway.bench.fanout_rows import cost, frame_us, kib_us, ratio, right
from gateway.bench.gathering import OTHERS, SETTLE_SECONDS, Sitting, Size, faults, files, sit
from gateway.bench.peers.peer import Peer
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import CHUNK_BYTES, CHUNK_SECONDS, Stage, crowd
from gateway.bench.usage import processor_seconds
from gateway.protocol.frames import HEADER

# Peer -> the gateway's processor time by the peer's, at most; None where it is only told.
MOST: dict[str, float | None] = {
    "c": 1.30,
    "broadcast": 0.80,
    "queue": None,
    "picows": None,
    "nchan": 1.0,
    "icecast": 0.5,
}
_COME_SECONDS = 120.0
# Icecast lets few wait at its door, and answers with the first sound: of very many at once some knock for a minute.
_OUTSTANDING = {"websocket": 64, "http": 32}


async def compare(
    here: Stage,
    peers: Sequence[Peer],
    listeners: int,
    seconds: float,
    rounds: int,
    tell: Tell,
    settle: float = SETTLE_SECONDS,
) -> list[Row]:
    """What a frame, or over HTTP a KiB, costs the gateway and each peer. Raises BenchError."""
    able = [peer for peer in peers if peer.missing() is None]
    found: dict[str, tuple[list[Sitting], list[Sitting]]] = {peer.name: ([], []) for peer in able}
    for number in range(rounds):
        for peer in able:
            ours, theirs = found[peer.name]
            tell(f"beside {peer.title}, round {number + 1} of {rounds}")
            ours.append(await sit(here, Size(peer.door, listeners), seconds, settle))
            theirs.append(await sit_with(here, peer, listeners, seconds, settle))
    rows = []
    for door, name, value in (("websocket", "a frame", frame_us), ("http", "a KiB over HTTP", kib_us)):
        rows += _of_door([peer for peer in peers if peer.door == door], found, name, value)
    everybody = [sitting for pair in found.values() for sittings in pair for sitting in sittings]
    return [*rows, right(everybody)] if everybody else rows


def _of_door(
    peers: Sequence[Peer],
    found: dict[str, tuple[list[Sitting], list[Sitting]]],
    name: str,
    value: Callable[[Sitting], float],
) -> list[Row]:
    ours = [sitting for peer in peers if peer.name in found for sitting in found[peer.name][0]]
    rows = [cost(f"{name}, Wavegate", ours, value)] if ours else []
    for peer in peers:
        if peer.name not in found:
            rows.append(Row(f"{name}, {peer.name}", math.nan, "", None, f"{peer.missing()}"))
            continue
        mine, other = found[peer.name]
        rows.append(cost(f"{name}, {peer.name}", other, value))
        rows.append(ratio(f"Wavegate by {peer.name}", mine, other, value, MOST.get(peer.name), peer.title))
    return rows


async def sit_with(here: Stage, peer: Peer, listeners: int, seconds: float, settle: float) -> Sitting:
    """The same as `sit`, with a peer. Raises BenchError."""
    door: Door = "peer" if peer.door == "websocket" else "raw"
    size = CHUNK_BYTES + HEADER.size if peer.door == "websocket" else CHUNK_BYTES
    async with (
        peer.start(size, CHUNK_SECONDS, here.processor) as running,
        crowd(files(listeners), here.others) as everybody,
    ):
        await everybody.join(
            OTHERS, door, running.url, listeners, seconds=_COME_SECONDS, outstanding=_OUTSTANDING[peer.door]
        )
        await asyncio.sleep(settle)
        await everybody.mark()
        begin = processor_seconds(running.pids)
        await asyncio.sleep(seconds)
        cpu = processor_seconds(running.pids) - begin
        found = await everybody.report()
    wrong, words = faults(found)
    return Sitting.of(Size(peer.door, listeners), found, cpu, 0.0, wrong, words)

"""The peers by their names, in the order in which a table shows them.

Invariant: cheap to import; a peer's library or program is looked for when it is asked what it misses.
It must not know how a peer is started.
"""

from gateway.bench.peers.bare import Bare
from gateway.bench.peers.icecast import Icecast
from gateway.bench.peers.nchan import Nchan
from gateway.bench.peers.peer import Peer, RunningPeer
from gateway.bench.peers.python import PythonPeer

__all__ = ["PEERS", "Peer", "RunningPeer"]

_ROOM = "gateway.bench.peers"

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Bare(),
        PythonPeer("broadcast", "websockets, broadcast()", f"{_ROOM}.broadcast", "websockets"),
        PythonPeer("queue", "aiohttp, a queue a client", f"{_ROOM}.queues", "aiohttp"),
        PythonPeer("picows", "picows", f"{_ROOM}.picows", "picows"),
        Nchan(),
        Icecast(),
    )
}

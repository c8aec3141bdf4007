"""The peers by their names.

Invariant under test: names, titles and doors are what a bench goes by.
It must not start any.
"""

from gateway.bench.peers.table import PEERS


def test_everybody_is_there() -> None:
    """Each under its own name."""
    assert list(PEERS) == ["c", "broadcast", "queue", "picows", "nchan", "icecast"]
    assert all(peer.name == name for name, peer in PEERS.items())
    assert len({peer.title for peer in PEERS.values()}) == len(PEERS)
    assert [name for name, peer in PEERS.items() if peer.door == "http"] == ["icecast"]


def test_libraries_of_the_gateway_are_never_missing() -> None:
    """It could not run without them."""
    assert PEERS["broadcast"].missing() is None
    assert PEERS["queue"].missing() is None

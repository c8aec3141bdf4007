"""What a peer is: it must be whole before it can be used.

Invariant under test: a peer says what it misses, and can be started.
It must not know any peer.
"""

import pytest

from gateway.bench.peers.peer import Peer


def test_half_a_peer_is_none() -> None:
    """Both are asked for."""

    class Half(Peer):
        def missing(self) -> str | None:
            return None

    with pytest.raises(TypeError, match="start"):
        Half()  # type: ignore[abstract]  # that is what is tested

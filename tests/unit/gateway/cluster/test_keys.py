"""The names of what a cluster keeps in Redis.

Invariant under test: they are the gateway's own, and no two kinds meet.
It must not need a server.
"""

from gateway.cluster.keys import CLAIMS, INBOXES, LOGS, NODES, OWNERS, inbox_of, log_of


def test_every_kind_has_a_place_of_its_own() -> None:
    kinds = (NODES, INBOXES, OWNERS, CLAIMS, LOGS)
    assert all(kind.startswith("wavegate:") for kind in kinds)
    assert not [(one, other) for one in kinds for other in kinds if one is not other and other.startswith(one)]


def test_a_log_is_one_node_s() -> None:
    assert log_of("n_1", "song") != log_of("n_2", "song")
    assert inbox_of("n_1") == "wavegate:inbox:n_1"

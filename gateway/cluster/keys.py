"""The names of all that a cluster keeps in Redis: one of nodes, one inbox a node, one log a rendition, owners, claims.

Invariant: every name begins with `wavegate:`, and no two kinds can meet; a node's name is new at every start, so what
one life has left there is never taken for another's.
It must not know what lies behind a name.
"""

NODES = "wavegate:nodes"
INBOXES = "wavegate:inbox:"
OWNERS = "wavegate:owner:"
CLAIMS = "wavegate:claim:"
LOGS = "wavegate:log:"


def inbox_of(node: str) -> str:
    """The stream of letters to this node."""
    return f"{INBOXES}{node}"


def log_of(node: str, name: str) -> str:
    """The stream of entries that this node publishes under this name."""
    return f"{LOGS}{node}:{name}"

"""Every target of the fuzzer, by name.

Invariant: a parser that meets a network has its target here, and nobody else says which there are.
It must not know what a target does.
"""

from tests.fuzz.target import Target
from tests.fuzz.targets import asking, faces, nodes, operator, sounds, talking, upstream

ROOMS = (upstream, sounds, talking, asking, operator, nodes, faces)
TARGETS: dict[str, Target] = {target.name: target for room in ROOMS for target in room.TARGETS}

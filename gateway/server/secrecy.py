"""Keeps the memory of this process to itself: there is the provider's key in it, and in the environment it began with.

Invariant: from then on no other process of the same user can read it by way of /proc or attach to it, codec processes
among them, and no core file is written of it; a system that cannot do that goes on without. Root still can.
It must not know what the secrets are.
"""

import os
import sys
from contextlib import suppress

# Set by who starts one to measure it: without root its files could not be counted otherwise. No core file is written
# then either, and nobody can set it for a process that runs.
SHOWN = "WAVEGATE_SHOW_MEMORY"
# <linux/prctl.h>
PR_SET_DUMPABLE = 4


def keep_memory() -> None:
    """Once, at the start. What this process starts has no core files either, and is otherwise as it would be."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux" and not os.environ.get(SHOWN):
        # MemoryError: under a hardened kernel ctypes may have no place for its own code.
        with suppress(ImportError, OSError, AttributeError, MemoryError):
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

"""What a codec process gets of the gateway's environment: what an interpreter needs, and nothing that opens anything.

Invariant: a variable is passed on by the beginning of its name or not at all, so no key goes along, whatever its name.
It must not know what the processes do.
"""

import os
import sys
from collections.abc import Mapping

# Where programs and libraries are, the language of messages, Python's own switches and coverage's.
_PASSED_ON = ("PATH", "LD_", "DYLD_", "LANG", "LC_", "TZ", "TMPDIR", "SYSTEMROOT", "PYTHON", "COVERAGE_")


def of_interpreter(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of ours: our packages are where we have found them, whatever directory it is in."""
    passed = {name: value for name, value in environ.items() if name.startswith(_PASSED_ON)}
    search = os.pathsep.join(path or "." for path in sys.path)
    # numpy's algebra, which nobody uses here, would begin with a thread for each processor.
    return {**passed, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"}

"""Prints what deploy/logs.md holds: `python -m gateway.log > deploy/logs.md`.

Invariant: nothing but the document goes to standard output.
It must not know what is in it.
"""

import sys

from gateway.log.document import document

sys.stdout.write(document())

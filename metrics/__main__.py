"""Prints the table of all metrics: `python -m metrics > deploy/observability/METRICS.md`.

Invariant: what is printed is the document and nothing else.
It must not know where it goes.
"""

import sys

from metrics.document import document

sys.stdout.write(document())

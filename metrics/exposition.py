"""The page Prometheus reads: what is collected in the format the scraper asks for.

Invariant: the text format unless the scraper asks for OpenMetrics. When a series was created is left out: it would
double their number, and says nothing where all known ones are there from the start. What stands before a value is
written once and kept, since it is most of the work: with the client library's own writers a page takes twice as long.
It knows what is collected and an Accept header, and no web framework.
"""

import math
from functools import lru_cache

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

_OPENMETRICS = "application/openmetrics-text"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(registry: Collector, accept: str) -> tuple[bytes, str]:
    """The body and its Content-Type: OpenMetrics where the `Accept` header asks for it, else the text format."""
    _, content_type = choose_encoder(accept)
    opened = content_type.startswith(_OPENMETRICS)
    lines: list[str] = []
    for family in registry.collect():
        lines.append(_about(family.name, family.type, family.documentation, opened=opened))
        lines += [
            f"{_named(sample.name, tuple(sample.labels.items()))} {_number(sample.value)}\n"
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
    if opened:
        lines.append("# EOF\n")
    return "".join(lines).encode(), content_type


@lru_cache(maxsize=512)
def _about(name: str, kind: str, documentation: str, *, opened: bool) -> str:
    if kind == "counter" and not opened:
        name = f"{name}_total"
    return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"


@lru_cache(maxsize=16384)
def _named(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return name
    told = ",".join([f'{label}="{value.translate(_ESCAPES)}"' for label, value in sorted(labels)])
    return f"{name}{{{told}}}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"

"""The table of all metrics for people, made from the catalogue: `python -m metrics > deploy/observability/METRICS.md`.

Invariant: it says what the catalogue says and nothing else, so it is never out of date where a test compares the two.
It must not know who reads it.
"""

from metrics.catalogue import CATALOGUE, Row, most_series
from metrics.labels import Label

_HEAD = """# Every metric

Written by `python -m metrics` from [`metrics/catalogue.py`](../../metrics/catalogue.py). Prometheus reads them at the
internal port, `/metrics`; with several workers the page is that of all of them together.

A label's listed values are there from the start, at 0, so that `increase()` sees the first event. A value that is not
listed, and a tenant or a model past its number, counts as `other`: with {tenants} tenants by name a gateway has at most
{series:,} series, whatever its clients do. Counters and histograms of several workers are added; what a gauge's values
make together stands behind it. No stream, session, address or prompt is ever a label.
"""
_TENANTS = 100
_MERGED = {
    "sum": "their sum",
    "max": "the largest",
    "min": "the smallest",
    "earliest": "the earliest",
    "used_of_limit": "the sum of what is used, one limit",
}


def document() -> str:
    """The page, in Markdown."""
    head = _HEAD.format(tenants=_TENANTS, series=most_series(_TENANTS))
    rows = "\n".join(_row(row) for row in CATALOGUE)
    labels = "\n".join(dict.fromkeys(_label(label) for row in CATALOGUE for label in row.by))
    return (
        f"{head}\n| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}\n"
        f"\n## Labels\n\n| label | of | values |\n|---|---|---|\n{labels}\n"
    )


def _named(row: Row) -> str:
    return row.full + ("_total" if row.kind == "counter" else "")


def _row(row: Row) -> str:
    kind = f"gauge; {_MERGED[row.merge]}" if row.kind == "gauge" else row.kind
    meaning = " ".join(filter(None, (row.help, row.look)))
    if row.buckets:
        meaning += f" Buckets: {', '.join(f'{bucket:g}' for bucket in row.buckets)}."
    return f"| `{_named(row)}` | {kind} | {', '.join(row.labels)} | {meaning} |"


def _label(label: Label) -> str:
    of = ", ".join(f"`{_named(one)}`" for one in CATALOGUE if label in one.by)
    values = ", ".join(f"`{value}`" for value in label.values)
    told = ": ".join(filter(None, (values, label.meaning)))
    return f"| `{label.name}` | {of} | {told} |"

"""Which label values get series of their own: the first that come, up to each label's number; the rest are `other`.

Invariant: whoever was named once stays named, and a listed value always is; a label's values are counted for each
metric by itself, but for tenants, who are the same in all. It must not know what any value means.
"""

from metrics.catalogue import CATALOGUE
from metrics.labels import OTHER, Label

_ROWS = {row.name: row for row in CATALOGUE}


class Bounds:
    """Of one page of metrics."""

    def __init__(self, max_tenants: int) -> None:
        self._max_tenants = max_tenants
        self._named: dict[tuple[str, str], set[str]] = {}

    def names(self, metric: str, values: tuple[str, ...]) -> tuple[str, ...]:
        """The label values, in the catalogue's order, under which these count."""
        by = _ROWS[metric].by
        return tuple(self._name(metric, label, value) for label, value in zip(by, values, strict=True))

    def _name(self, metric: str, label: Label, value: str) -> str:
        named = self._named.setdefault(("" if label.spare is None else metric, label.name), set(label.values))
        if value in named:
            return value
        if value != OTHER and len(named) < label.most(self._max_tenants):
            named.add(value)
            return value
        return OTHER

"""Trying the verbs of the recorder: what each is called with, and what stands on the page afterwards.

Invariant: a sample is looked up by its whole name without the prefix, and by all of its labels.
It must not know any single verb.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from metrics.recorder import Recorder


@dataclass(frozen=True)
class Try:
    """A verb said `once`, and the sample that is then at `value`. A `statement` said again changes nothing."""

    once: Callable[[Recorder], None]
    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)
    statement: bool = False

    @property
    def metric(self) -> str:
        """The name in the catalogue."""
        return self.name.removesuffix("_total").removesuffix("_sum").removesuffix("_count")


def value(recorder: Recorder, name: str, **labels: str) -> float | None:
    """What the page says; a name of all programs stands there as it is."""
    prefix = "" if name.startswith("process_") else "wavegate_"
    return recorder.registry.get_sample_value(f"{prefix}{name}", labels)


def moves(one: Try) -> None:
    """Asserts that it does what it says: once, and again."""
    recorder = Recorder()
    before = value(recorder, one.name, **one.labels) or 0.0
    one.once(recorder)
    assert value(recorder, one.name, **one.labels) == one.value
    one.once(recorder)
    again = one.value if one.statement else one.value + (one.value - before)
    assert value(recorder, one.name, **one.labels) == again


def untried(verbs: type, tries: Sequence[Try]) -> set[str]:
    """The verbs of this class that none of these says."""
    own = {name for name, one in vars(verbs).items() if inspect.isfunction(one) and not name.startswith("_")}
    return own - {name for one in tries for name in one.once.__code__.co_names}

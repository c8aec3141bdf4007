"""What a generation costs: a table of prices by model, in whatever currency its owner thinks.

Invariant: a cost is a whole number of millionths, so that sums are exact; a model without a row costs nothing.
It must not know tenants or where a bill is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What the provider charges for one model: by the second of audio, by the character of text, or both."""

    per_second: float = 0.0
    per_character: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """The whole table."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def cost(self, model: str, milliseconds: int, characters: int | None) -> int:
        """Millionths of the currency for so much audio and so many characters of text."""
        price = self.by_model.get(model)
        if price is None:
            return 0
        return round(milliseconds * price.per_second * 1000 + (characters or 0) * price.per_character * MILLION)

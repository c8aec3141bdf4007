"""How the gateway's code says that something happened: one call, for everything it logs.

Invariant: what is said costs a lookup where nobody wants to hear it; the level is the table's unless the caller knows
better. It must not know how a line looks, nor where it goes.
"""

import logging
from dataclasses import dataclass
from typing import Any

from gateway.log.names import level_of

# How much of what somebody wrote is shown where that is allowed at all.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Words:
    """A prompt, lyrics, a text to say: what people wrote. A line shows how long it is, and no more by default."""

    text: str | None

    def shown(self, *, openly: bool) -> str | None:
        """As it stands in a line: its length, or its beginning where `log.prompts` allows that."""
        if self.text is None:
            return None
        if not openly:
            return f"<{len(self.text)} characters>"
        return self.text if len(self.text) <= SHOWN_CHARACTERS else f"{self.text[:SHOWN_CHARACTERS]}..."


def event(
    logger: logging.Logger,
    name: str,
    /,
    *,
    level: int | None = None,
    exc_info: bool | BaseException = False,
    **fields: Any,
) -> None:
    """Logs that `name` happened, which is a row of EVENTS, with what one needs to know about it as fields."""
    level = level_of(name) if level is None else level
    if logger.isEnabledFor(level):
        # The place that handlers may show is our caller's.
        logger.log(level, name, extra={"fields": fields}, exc_info=exc_info or None, stacklevel=2)

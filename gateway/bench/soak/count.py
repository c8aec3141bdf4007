"""What guests did, what they were refused, and what was wrong: counted by words, of which there are few.

Invariant: nothing that is wrong goes uncounted, and of each kind the first words are kept for people.
It must not know how guests behave.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Answers that no fault of a provider and no guest's haste explains.
NEVER = (
    "internal",
    "ledger_unavailable",
    "cluster_unavailable",
    "owner_lost",
    "bad_credentials",
    "missing_credentials",
    "forbidden",
    "invalid_request",
    "invalid_input",
    "invalid_json",
    "invalid_message",
    "unknown_type",
    "idempotency_conflict",
    "going_away",
)
# Who wants a piece of a song of which there is nothing yet is told so with `invalid_input`.
_HASTY = "/clip."
_WORDS_KEPT = 3


@dataclass(slots=True)
class Count:
    """`done` by what was done, `refusals` by the code, `faults` by the kind."""

    done: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def did(self, what: str) -> None:
        """Somebody has done this."""
        self.done[what] = self.done.get(what, 0) + 1

    def refused(self, error: Mapping[str, object], where: str) -> None:
        """Somebody was refused, or a song has failed, with this error of the gateway; some of them are wrong."""
        code = str(error["code"])
        self.refusals[code] = self.refusals.get(code, 0) + 1
        if code in NEVER and not (code == "invalid_input" and _HASTY in where):
            self.wrong(code, f"at {where}: {error.get('message')}")

    def wrong(self, kind: str, words: str) -> None:
        """Something that must not be."""
        number = self.faults[kind] = self.faults.get(kind, 0) + 1
        if number <= _WORDS_KEPT:
            self.words.append(f"{kind}: {words}")

    def told(self, counts: dict[str, int]) -> str:
        """Some of the counts as a line for people, the most frequent first."""
        ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        return ", ".join(f"{number} {what}" for what, number in ranked)

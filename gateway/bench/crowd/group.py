"""Listeners that are counted together: what they got since the last mark, and what was wrong with it.

Invariant: nothing that is wrong goes uncounted; of each kind the first words are kept for people.
It must not know lines.
"""

from dataclasses import dataclass, field

from gateway.bench.crowd.reference import Claim, Reference

_WORDS_KEPT = 3


@dataclass(slots=True)
class Faults:
    """How often each kind of fault befell somebody, since the beginning."""

    counts: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def add(self, kind: str, words: str) -> None:
        """One more of this kind."""
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        if number <= _WORDS_KEPT:
            self.words.append(f"{kind}: {words}")


@dataclass(slots=True)
class Group:
    """`frames` and `size` (bytes of sound, with our header where there is one) and `silence` count from the last mark.
    `heard` are the frames of all time.

    `joined` have heard something, `whole` have heard the end and were told the right hash or length; `gone` were cut.
    """

    name: str
    frames: int = 0
    before: int = 0
    size: int = 0
    silence: float = 0.0
    joined: int = 0
    last_joined_at: float = 0.0
    whole: int = 0
    ended: int = 0
    gone: int = 0
    recovered: int = 0
    faults: Faults = field(default_factory=Faults)
    claims: list[tuple[Reference, Claim]] = field(default_factory=list)

    def mark(self) -> None:
        """Counts anew."""
        self.before += self.frames
        self.frames = self.size = 0
        self.silence = 0.0

    @property
    def heard(self) -> int:
        return self.before + self.frames

    def fault(self, kind: str, words: str) -> None:
        """Something was wrong for one of them."""
        self.faults.add(kind, words)

    def over(self, reference: Reference, claim: Claim) -> None:
        """One of them has heard the end; whether all of it was right is judged when everybody has been read."""
        self.ended += 1
        self.claims.append((reference, claim))

    def judge(self) -> None:
        """Holds all that was claimed against what everybody heard."""
        for reference, claim in self.claims:
            doubt = reference.doubt(claim)
            if doubt is None:
                self.whole += 1
            else:
                self.fault("end", doubt)
        self.claims.clear()

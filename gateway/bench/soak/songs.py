"""Orders with every way in which the provider can answer, well or badly: prompts that the simulator carries out.

Invariant: each fault that the simulator knows is among them, by its own table, and each shape of its wire; a song is
of whole seconds, so that what was received can be held against what was sent.
It must not know who orders.
"""

from random import Random
from typing import NamedTuple

from gateway.upstream.simulator.faults import FAULTS

# More than the gateway takes of one event, where it is told `max_event_bytes`.
MOST_EVENT_BYTES = 1 << 20
_SECONDS = (2, 3, 4)
_SPEEDS = (0, 2, 4, 20)
_FAULTY = 0.4
# The provider says that there is too much: everybody waits a second for it, so it says so seldom, and once to each.
_FULL = ("throttle", "burst", "allocation", "busy")
_FULL_SHARE = 0.05
# It says that the key, or the account, may not use the model: nobody else gets a song of that model for a while, so
# that is another one than the listeners of the crowd hear.
_OF_KEYS = ("overdue", "arrears", "bad_key", "denied")
_OTHER_MODEL = "fun-music-preview"

# What is right, written in every way that is.
FORMS = (
    "", "", "", "lines=crlf", "lines=cr", "multiline=1", "no_last_blank=1", "drip=700 pause=0.0005", "stop_audio=1",
    "usage=0", "rate=string", "rate=none", "xing=1", "vbr=1", "id3=0", "mute=0.5", "slice=500", "slice=60000",
    "hold=0.1", "wait=0.3",
)  # fmt: skip
WAV_FORMS = ("wav=0xFFFFFFFF", "wav=0", "wav=short", "slice=5000")
# What more is said of a fault; one that is not named here happens at the start and in the middle.
_MORE = {
    "error": (
        "",
        "after=1",
        "shape=event",
        "shape=framed",
        "shape=openai",
        "shape=result",
        "retry_after=1",
        "hold=0.1",
    ),
    "stall": ("after=1 silence=0.5 heartbeat=0.1", "after=0.5 silence=60"),
    "cut": ("after=1 how=end", "after=1 how=close", "after=1 how=reset", "after=0.5 how=end torn=1", "how=close"),
    "bad_base64": ("", "after=1"),
    "bad_json": ("", "after=1"),
    "oversized": (f"after=1 size={2 * MOST_EVENT_BYTES}", f"after=1 size={MOST_EVENT_BYTES // 2}"),
    "garbage": ("after=1 size=1000", "after=1 size=60000"),
    "noise": ("",),
    "empty": ("",),
}
_REFUSALS = ("", "after=1")


def faulty() -> list[str]:
    """Every scenario in which something goes wrong, but for those that make everybody wait."""
    return [f"{name} {more}".strip() for name in FAULTS if name not in _FULL for more in _MORE.get(name, _REFUSALS)]


_SCENARIOS = tuple(faulty())


class Song(NamedTuple):
    """What to order; `model` is None for the usual one."""

    prompt: str
    model: str | None = None


class Songs:
    """Songs, by chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._number = 0

    def sound(self, seconds: int, speed: int, more: str = "") -> Song:
        """One of so many seconds, at a multiple of its own speed, with `more` in its scenario."""
        self._number += 1
        begins = more if "wait=" in more else f"wait=0 {more}"  # else the simulator takes as long as the provider does
        prompt = f"[[scale seconds={seconds} speed={speed} {begins}]] a scale, and number {self._number} of them"
        return Song(prompt, _OTHER_MODEL if more.startswith(_OF_KEYS) else None)

    def any(self, form: str, *, whole: bool = False, streamed: bool = True) -> Song:
        """One in the format `form`, which is right if `whole`, and else by chance.

        A call that is not `streamed` is answered at once, and nothing can happen in the middle.
        """
        chance = self._chance
        seconds, speed = chance.choice(_SECONDS), chance.choice(_SPEEDS)
        if not whole and chance.random() < _FAULTY:
            more = self._full() if chance.random() < _FULL_SHARE else chance.choice(_SCENARIOS)
        else:
            more = chance.choice(FORMS if form == "mp3" else WAV_FORMS)
        if not streamed:
            more = "" if "after=" in more or "slice" in more else more
        return self.sound(seconds, speed, more)

    def _full(self) -> str:
        number = self._chance.getrandbits(48)
        return f"{self._chance.choice(_FULL)} times=1 id=soak-{number:x}"

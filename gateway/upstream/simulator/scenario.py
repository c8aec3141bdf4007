"""How a request chooses the simulator's behaviour: a marker in its words, or the `X-Simulator-Scenario` header.

The grammar is `[[name key=value ...]]`; the header may leave out the brackets. The marker is taken out before anything
else looks at the words. A caller that counts words (prompts need 5) counts the marker's too, so these pass everywhere:

    [[scale seconds=8]] a scale for the test bench
    [[song speed=0]] a calm piano piece for a rainy night

Invariant: what is not in the tables below is refused by name. It must not know sound or the wire.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.model import SongInput
from transcode.mp3header import bitrates

HEADER = "X-Simulator-Scenario"

_MARKER = re.compile(r"\s*\[\[(.*?)\]\]\s*", re.DOTALL)


class ScenarioError(ValueError):
    """The marker asks for what is not known; the message lists what is."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one request asks for; None leaves an option as it is by default.

    `seconds` of audio, `speed` as a multiple of real time (0: as fast as possible), `slice` in bytes of audio an event,
    `bitrate` of mp3 in bit/s, `wait` in seconds before the first event.
    """

    name: str
    seconds: float | None = None
    speed: float | None = None
    slice: int | None = None
    bitrate: int | None = None
    wait: float | None = None


def _between(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _one_of(*allowed: int) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = int(text)
        if value not in allowed:
            raise ValueError
        return value

    return read


# Scenario -> what it does.
NAMES: dict[str, str] = {
    "song": "the composed song, cut after `seconds` if given",
    "scale": "a pitch of its own for every half second, so that what is heard tells its place in the song",
}
# Option -> how its value is read, and what may stand there.
OPTIONS: dict[str, tuple[Callable[[str], float], str]] = {
    "seconds": (_between(float, 0.1, 600), "0.1 to 600"),
    "speed": (_between(float, 0, 1000), "0 to 1000"),
    "slice": (_between(int, 1, 1 << 20), "1 to 1048576"),
    "bitrate": (_one_of(*bitrates(48000)), ", ".join(map(str, bitrates(48000)))),
    "wait": (_between(float, 0, 300), "0 to 300"),
}


def take(given: SongInput, header: str | None = None) -> tuple[Scenario | None, SongInput]:
    """The scenario a request chose, if any, and its words without the marker; the header outranks a marker.

    Raises ScenarioError for an unknown name, key or value, and for more than one marker.
    """
    found: list[str] = []

    def strip(text: str | None) -> str | None:
        if text is None:
            return None
        found.extend(_MARKER.findall(text))
        return _MARKER.sub(" ", text).strip()

    stripped = replace(given, prompt=strip(given.prompt), lyrics=strip(given.lyrics))
    if header is not None:
        found = [header.strip().removeprefix("[[").removesuffix("]]")]
    if len(found) > 1:
        raise ScenarioError("Only one [[scenario]] may be given.")
    return (read(found[0]) if found else None), stripped


def read(text: str) -> Scenario:
    """A scenario from what stands between the brackets. Raises ScenarioError."""
    name, *pairs = text.split() or [""]
    if name not in NAMES:
        raise ScenarioError(f"Unknown scenario '{name}'. Known: {', '.join(NAMES)}.")
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in OPTIONS:
            raise ScenarioError(f"Unknown option '{key}'. Known: {', '.join(OPTIONS)}.")
        parse, allowed = OPTIONS[key]
        try:
            values[key] = parse(value)
        except ValueError:
            raise ScenarioError(f"The option {key} takes {allowed}, not '{value}'.") from None
    return replace(Scenario(name), **values)

"""How a request chooses the simulator's behaviour: a marker in its words, or the `X-Simulator-Scenario` header.

The grammar is `[[name key=value ...]]`, where the names are a tune, a fault, or one of each; the header may leave out
the brackets. The marker is taken out before anything else looks at the words. A caller that counts words (prompts need
5) counts the marker's too, so these pass everywhere:

    [[scale seconds=8]] a scale for the test bench
    [[cut after=3 how=reset]] a calm piano piece for a rainy night

Invariant: what is not in the tables is refused by name. It must not know sound or the wire.
"""

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gateway.model import SongInput, SpeechInput
from gateway.upstream.simulator.faults import FAULTS, Fault, Refusal
from gateway.upstream.simulator.options import OPTIONS

HEADER = "X-Simulator-Scenario"

_MARKER = re.compile(r"\s*\[\[(.*?)\]\]\s*", re.DOTALL)
_IN_STREAM = ("event", "result")
# Fields of the input in which a marker may stand.
_WORDS = ("prompt", "lyrics", "text")

# Tune -> what it is.
TUNES: dict[str, str] = {
    "song": "the composed song, cut after `seconds` if given; what a fault without a tune befalls",
    "scale": "a pitch of its own for every half second, so that what is heard tells its place in the song",
}
# Options that mean something to some faults only.
_OF_FAULTS = frozenset().union(*(fault.takes for fault in FAULTS.values()))


class ScenarioError(ValueError):
    """The marker asks for what is not known; the message lists what is."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one request asks for: a row of `TUNES`, a row of `FAULTS` or none, and options as `OPTIONS` describes them.

    None leaves an option to whoever knows what is usual there.
    """

    tune: str = "song"
    fault: str | None = None
    seconds: float | None = None
    speed: float | None = None
    slice: int | None = None
    bitrate: int | None = None
    wait: float | None = None
    hold: float = 0.0
    mute: float | None = None
    id3: bool = True
    xing: bool = False
    vbr: bool = False
    wav: str | None = None
    lines: str = "lf"
    multiline: bool = False
    no_last_blank: bool = False
    drip: int | None = None
    pause: float = 0.001
    type: str | None = None
    url: bool = True
    usage: bool = True
    rate: str | None = None
    stop_audio: bool = False
    after: float = 0.0
    times: int | None = None
    id: str | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    shape: str | None = None
    retry_after: int | None = None
    silence: float = 5.0
    heartbeat: float | None = None
    how: str = "close"
    torn: bool = False
    size: int = 1000

    @property
    def refusal(self) -> Refusal | None:
        """The refusal that is asked for, its parts as chosen."""
        usual = FAULTS[self.fault].refusal if self.fault is not None else None
        if usual is None:
            return None
        return Refusal(self.status or usual.status, self.code or usual.code, self.message or usual.message)

    @property
    def in_stream(self) -> bool:
        """Whether the refusal comes as an event, and not as an answer of its own."""
        return self.after > 0 or self.shape in _IN_STREAM


Input = TypeVar("Input", SongInput, SpeechInput)


def take(given: Input, header: str | None = None) -> tuple[Scenario | None, Input]:
    """The scenario a request chose, if any, and its words without the marker; the header outranks a marker.

    Raises ScenarioError for an unknown name, key or value, and for more than one marker.
    """
    found: list[str] = []

    def strip(text: str) -> str:
        found.extend(_MARKER.findall(text))
        return _MARKER.sub(" ", text).strip()

    said = {name: getattr(given, name, None) for name in _WORDS}
    words: dict[str, Any] = {name: strip(text) for name, text in said.items() if text is not None}
    stripped = replace(given, **words)
    if header is not None:
        found = [header.strip().removeprefix("[[").removesuffix("]]")]
    if len(found) > 1:
        raise ScenarioError("Only one [[scenario]] may be given.")
    return (read(found[0]) if found else None), stripped


def read(text: str) -> Scenario:
    """A scenario from what stands between the brackets. Raises ScenarioError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ScenarioError(f"The scenario cannot be read: {error}.") from None
    # A name has no "=", and the first word is one, whatever it looks like: so an empty marker has an unknown name.
    names = [word for word in words[1:] if "=" not in word]
    tune, fault = _named([*(words[:1] or [""]), *names])
    values: dict[str, Any] = {}
    for key, _, value in (word.partition("=") for word in words[1:] if "=" in word):
        if key not in OPTIONS:
            raise ScenarioError(f"Unknown option '{key}'. Known: {', '.join(OPTIONS)}.")
        if key in _OF_FAULTS and (fault is None or key not in FAULTS[fault].takes):
            takers = ", ".join(name for name, row in FAULTS.items() if key in row.takes)
            raise ScenarioError(f"The option {key} is for these only: {takers}.")
        try:
            values[key] = OPTIONS[key].read(value)
        except (ValueError, KeyError):
            raise ScenarioError(f"The option {key} takes {OPTIONS[key].allowed}, not '{value}'.") from None
    scenario = Scenario(tune or "song", fault, **values)
    if (scenario.times is None) != (scenario.id is None):
        raise ScenarioError("The options times and id need each other.")
    if scenario.after and scenario.shape not in (None, *_IN_STREAM):
        raise ScenarioError(f"The shape {scenario.shape} comes instead of a song, so it cannot come after some of it.")
    return scenario


def describe() -> str:
    """All tunes, faults and options with what they do, as a text for a terminal."""
    refusals = {name: fault for name, fault in FAULTS.items() if fault.refusal is not None}
    rows = [("Tunes", ""), *((f"  {name}", does) for name, does in TUNES.items())]
    rows += [("Refusals", f"each takes {_taken(FAULTS['error'])}")]
    rows += [(f"  {name}", fault.does) for name, fault in refusals.items()]
    rows += [("Other faults", "with what each takes")]
    rows += [(f"  {name}", f"{row.does} ({_taken(row)})") for name, row in FAULTS.items() if name not in refusals]
    rows += [("Options", "with what each may be")]
    rows += [(f"  {name}=", f"{option.does}: {option.allowed}") for name, option in OPTIONS.items()]
    width = max(len(name) for name, _ in rows) + 2
    head = (
        f'[[TUNE FAULT KEY=VALUE ...]] in the prompt or the lyrics, or without the brackets in the header "{HEADER}"\n'
    )
    return head + "\n".join(f"{name:<{width}}{does}".rstrip() for name, does in rows)


def _taken(fault: Fault) -> str:
    return " ".join(name for name in OPTIONS if name in fault.takes)


def _named(names: list[str]) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    for name in names:
        kind = "tune" if name in TUNES else "fault" if name in FAULTS else None
        if kind is None:
            raise ScenarioError(f"Unknown scenario '{name}'. Known: {', '.join((*TUNES, *FAULTS))}.")
        if kind in found:
            raise ScenarioError(f"Only one {kind} may be given, not both {found[kind]} and {name}.")
        found[kind] = name
    return found.get("tune"), found.get("fault")

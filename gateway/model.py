"""The nouns that every floor of the gateway shares: plain, frozen values.

Invariant: nothing here performs I/O, reads a clock or knows a socket, a codec or a tenant's limits.
`Chunk` alone keeps a cache: the bytes of each wire form, built on first demand and shared by every listener.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import NamedTuple, NewType

TenantId = NewType("TenantId", str)
StreamId = NewType("StreamId", str)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a tenant, and by which of its keys (`key_id` is safe to log, the key is not), or a guest of it.

    A guest's ticket was `minted_by` a key of the tenant, where that is known.
    """

    tenant: TenantId
    key_id: str
    guest: bool = False
    minted_by: str | None = None


class Mode(StrEnum):
    """How the provider delivers: slices while it sings, or one file when it is done."""

    STREAM = "stream"
    FILE = "file"


class Status(StrEnum):
    """Life of a stream; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class SongInput:
    """What to sing, in the provider's own fields (DashScope Fun-Music, `input`)."""

    prompt: str | None = None
    lyrics: str | None = None
    gender: str | None = None
    is_instrumental: bool = False
    format: str = "mp3"
    enable_aigc_watermark: bool = False


@dataclass(frozen=True, slots=True)
class SpeechInput:
    """What to say, in the provider's own fields (DashScope CosyVoice and Qwen-TTS, `input`); None is its default.

    `rate` and `pitch` are factors, `volume` is 0 to 100, `sample_rate` in Hz.
    """

    text: str
    voice: str
    format: str = "mp3"
    sample_rate: int | None = None
    volume: int | None = None
    rate: float | None = None
    pitch: float | None = None
    seed: int | None = None
    instruction: str | None = None
    instructions: str | None = None
    optimize_instructions: bool = False
    language_type: str | None = None
    language_hints: tuple[str, ...] = ()
    enable_ssml: bool = False


@dataclass(frozen=True, slots=True)
class SongRequest:
    """One song to buy: already checked against the provider's limits."""

    model: str
    mode: Mode
    input: SongInput

    @property
    def words(self) -> str:
        """What it is about, for people."""
        return self.input.lyrics or self.input.prompt or ""

    @property
    def lyrics(self) -> str | None:
        """What is sung, as far as the buyer said it."""
        return self.input.lyrics

    @property
    def estimate_seconds(self) -> None:
        """Nobody knows before how long a song will be: what others like it took is the best guess."""
        return None


# Characters a second.
SLOWEST_SPEECH = 4.0


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One piece of speech to buy: already checked against the provider's limits."""

    model: str
    mode: Mode
    input: SpeechInput

    @property
    def words(self) -> str:
        """What is said."""
        return self.input.text

    @property
    def lyrics(self) -> None:
        """Nothing is sung."""
        return None

    @property
    def estimate_seconds(self) -> float:
        """How long it takes to say: Chinese has some four characters a second, other languages more."""
        return max(1.0, len(self.input.text) / SLOWEST_SPEECH / min(1.0, self.input.rate or 1.0))


GenerationRequest = SongRequest | SpeechRequest


# -- what a source says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has begun; `request_id` is its own name for the generation, `simulated` that nothing is paid for.

    `waited_seconds` is how long it had waited for its turns by then.
    """

    request_id: str
    simulated: bool = False
    waited_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """The next bytes of the song: an arbitrary slice, never a whole number of codec frames."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """The provider's last word. `billed_seconds` is what it charges for, or None when it did not say, or bills by text:
    then `billed_characters` is.
    """

    billed_seconds: float | None
    sample_rate: int | None = None
    channels: int | None = None
    lyrics: str | None = None
    url: str | None = None
    billed_characters: int | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """What the provider has billed by now, said before its last word: all of a song that comes as one file, and of
    speech the characters so far. None is what it does not say.
    """

    seconds: float | None = None
    characters: int | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The generation waits for its turn: it is number `position` from 1, and starts in about `eta_seconds` if known."""

    position: int
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """The provider has failed before the first sound, and is asked again: this is try number `attempt`, from 2."""

    attempt: int


SourceEvent = Accepted | AudioDelta | Billed | Finished | Queued | TriedAgain


# -- what a listener hears -------------------------------------------------------------------------------------------


class Position(NamedTuple):
    """A place in a channel: `seq` counts chunks from 0 within one `epoch` of the log."""

    epoch: int
    seq: int


class Kind(IntEnum):
    """What a binary frame carries (the `kind` octet on the wire)."""

    AUDIO = 1
    INIT = 2


class Flag(IntFlag):
    """Marks of a chunk (the `flags` field on the wire)."""

    NONE = 0
    RANDOM_ACCESS = 1
    DISCONTINUITY = 2
    LAST = 4


@dataclass(frozen=True, slots=True)
class RenditionId:
    """Names one rendition on the wire: `number` is the u32 in every binary frame, `epoch` the life of its log."""

    stream_id: StreamId
    number: int
    epoch: int


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Whole codec frames, 100 to 250 ms of them: the unit that is retained, sent and resumed from.

    `pts` and `duration` are samples at the rendition's rate; `born` is when its last byte came in from upstream
    (monotonic seconds). The init chunk of a container stands outside the sequence: seq, pts and duration 0.
    """

    rendition: RenditionId
    seq: int
    pts: int
    duration: int
    payload: bytes
    kind: Kind = Kind.AUDIO
    flags: Flag = Flag.RANDOM_ACCESS
    born: float = 0.0
    _wires: dict[Callable[["Chunk"], bytes], bytes] = field(default_factory=dict, repr=False)

    def wire(self, build: Callable[["Chunk"], bytes]) -> bytes:
        """The bytes of this chunk in the form that `build` makes: built once, the same object for every listener."""
        data = self._wires.get(build)
        if data is None:
            data = self._wires[build] = build(self)
        return data

    def forget_wires(self) -> None:
        """Gives their memory back; whoever comes late has them built again."""
        self._wires.clear()

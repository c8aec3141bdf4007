"""How loud a sound is from moment to moment, measured while it comes in: for a meter, and for a picture of a song.

Invariant: levels are those of decoded samples and depend on the sound alone, never on how its bytes were sliced; what
cannot be decoded piece by piece here (containers of other codecs) has no levels at all, rather than guessed ones.
It must not know who looks at them.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from transcode.decoder import Decoder, decoder
from transcode.formats import PCM, CodecFrame, StreamFormat
from transcode.framer import Framer
from transcode.rawframer import RawFramer
from transcode.samples import as_float

STEPS = 20  # a second


class Level(NamedTuple):
    """One step of a twentieth of a second: the largest amplitude and the RMS of each channel, 1 is full scale."""

    peak: tuple[float, ...]
    rms: tuple[float, ...]


class _Frames(Protocol):
    def feed(self, data: bytes) -> list[CodecFrame]:
        """Whole frames."""


class Levels:
    """Measures one rendition. Feed it the payloads in order, a container's header first."""

    def __init__(self, frames: _Frames, form: StreamFormat | None) -> None:
        self._frames = frames
        self._form = form
        self._decoder: Decoder | None = None
        self._rest: NDArray[np.float32] | None = None

    def feed(self, payload: bytes) -> list[Level]:
        """The levels of the steps that it completes. Raises what the framer raises for what is no such sound."""
        frames = self._frames.feed(payload)
        if not frames:
            return []
        if self._decoder is None:
            self._decoder = self._made()
        blocks = [as_float(sound.block) for sound in self._decoder.decode(frames)]
        return self._measured(blocks, self._decoder.sample_rate // STEPS)

    def _made(self) -> Decoder:
        if self._form is not None:
            return decoder("pcm_s16le", self._form.sample_rate, self._form.channels)
        assert isinstance(self._frames, Framer), "what needs no form tells it"
        form, codec = self._frames.format, self._frames.codec
        assert form is not None, "frames come after their form"
        assert codec is not None, "frames come after their form"
        return decoder(codec, form.sample_rate, form.channels)

    def _measured(self, blocks: Sequence[NDArray[np.float32]], step: int) -> list[Level]:
        waiting = blocks if self._rest is None else [self._rest, *blocks]
        if not waiting:  # frames that carry no sound
            return []
        sound = np.concatenate(waiting, axis=1)
        count = sound.shape[1] // step
        self._rest = sound[:, count * step :].copy()
        steps = sound[:, : count * step].reshape(sound.shape[0], count, step)
        peaks = np.abs(steps).max(axis=2)
        powers = np.sqrt(np.square(steps, dtype=np.float64).mean(axis=2))
        return [Level(tuple(peaks[:, at].tolist()), tuple(powers[:, at].tolist())) for at in range(count)]


def levels(mime: str, sample_rate: int, channels: int) -> Levels | None:
    """For a rendition as `stream.started` describes it; None for one whose levels cannot be had here."""
    kind = mime.partition(";")[0]
    if kind in ("audio/mpeg", "audio/wav"):
        return Levels(Framer(), None)
    if kind == PCM.mime:
        form = StreamFormat(PCM, sample_rate, channels, None)
        return Levels(RawFramer(form), form)
    return None

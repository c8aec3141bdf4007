"""The synthesiser: a score in, blocks of sound out, as far as anyone has asked.

Every note is made whole when its start is reached and laid over a buffer that reaches into the future; a block is the
front of that buffer. Invariant: blocks join without a seam, because no note is ever computed in pieces, and the
same score always gives the same samples. It must not know lyrics, encodings, time or who listens.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gateway.upstream.simulator.music.drumkit import Drumkit
from gateway.upstream.simulator.music.instruments import TONES, Instrument
from gateway.upstream.simulator.music.mixdown import BLOCK, Leveller, Room, limit
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples
from gateway.upstream.simulator.music.score import Note, Part, Score
from gateway.upstream.simulator.music.singer import Singer

Block = npt.NDArray[np.int16]
"""(n, 2) interleaved samples, left and right, at 48 kHz."""

# Part -> loudness in the mix, place from left to right, and how much of it the room hears.
_DESK: dict[Part, tuple[float, float, float]] = {
    Part.LEAD: (0.29, 0.0, 0.30),
    Part.CHOIR: (0.19, -0.3, 0.40),
    Part.KEYS: (0.48, -0.22, 0.22),
    Part.COUNTER: (0.42, 0.4, 0.38),
    Part.PAD: (0.34, 0.0, 0.35),
    Part.BASS: (0.32, 0.0, 0.02),
    Part.DRUMS: (0.66, 0.0, 0.08),
}
# Parts that are heard again an echo later, and how loud; the first echo comes from the other side.
_ECHOES = {Part.LEAD: 0.16, Part.COUNTER: 0.28}
_LONGEST_NOTE = 13 * SAMPLE_RATE
_FADE = 1.2


class Synthesiser:
    """Plays one score once."""

    def __init__(self, score: Score) -> None:
        self._score = score
        seed = score.seed % 2**32
        self._drums = Drumkit(seed)
        self._singer = Singer(score.gender, seed) if score.gender else None
        self._instruments = {
            part: Instrument(TONES[name], seed) for part, name in score.instruments.items() if name in TONES
        }
        self._room = Room(score.room, seed)
        self._leveller = Leveller()
        self._ahead = np.zeros((2, BLOCK + _LONGEST_NOTE), dtype=np.float32)
        self._send = np.zeros(BLOCK + _LONGEST_NOTE, dtype=np.float32)

    def blocks(self) -> Iterator[Block]:
        """The song from its start, in blocks of half a second; the last one may be shorter."""
        samples = round(self._score.seconds * SAMPLE_RATE)
        notes = iter(self._score.notes)
        note = next(notes, None)
        for start in range(0, samples, BLOCK):
            while note is not None and note.start * SAMPLE_RATE < start + BLOCK:
                self._lay(note, round(note.start * SAMPLE_RATE) - start)
                note = next(notes, None)
            block = self._ahead[:, :BLOCK] + self._room.sound(self._send[:BLOCK].copy())
            mixed = limit(self._leveller.apply(block) * _ending(start, samples))
            yield np.ascontiguousarray((mixed.T * 32767.0).round().astype(np.int16)[: samples - start])
            self._advance()

    def _lay(self, note: Note, at: int) -> None:
        level, place, send = _DESK[note.part]
        sound = self._sound(note) * np.float32(level)
        self._add(sound, at, _spread(note, place), send)
        echo = _ECHOES.get(note.part)
        if echo is not None:
            for times in (1, 2):
                side = 0.55 if times == 1 else -0.55
                self._add(
                    sound * np.float32(echo**times), at + round(times * self._score.echo * SAMPLE_RATE), side, send
                )

    def _sound(self, note: Note) -> Samples:
        if note.part is Part.DRUMS:
            return self._drums.hit(note.sound, note.velocity)
        if note.sound and self._singer is not None:
            return self._singer.play(note.pitch, note.seconds, note.velocity, note.sound, note.slide)
        return self._instruments[note.part].play(note.pitch, note.seconds, note.velocity, note.slide)

    def _add(self, sound: Samples, at: int, place: float, send: float) -> None:
        reach = min(sound.shape[1], self._ahead.shape[1] - at)
        # Balance rather than pan: what a tone has in width stays.
        left, right = np.float32(min(1.0, 1.0 - place)), np.float32(min(1.0, 1.0 + place))
        self._ahead[0, at : at + reach] += sound[0, :reach] * left
        self._ahead[1, at : at + reach] += sound[1, :reach] * right
        self._send[at : at + reach] += (sound[0, :reach] + sound[1, :reach]) * np.float32(send / 2)

    def _advance(self) -> None:
        self._ahead[:, :-BLOCK] = self._ahead[:, BLOCK:]
        self._ahead[:, -BLOCK:] = 0.0
        self._send[:-BLOCK] = self._send[BLOCK:]
        self._send[-BLOCK:] = 0.0


def _spread(note: Note, place: float) -> float:
    """Keyboards lie from left to right."""
    return place + (note.pitch - 64) / 60 if note.part is Part.KEYS else place


def _ending(start: int, samples: int) -> Samples:
    """The last moments fade, so that the room does not stop in mid-air."""
    left = (samples - start - np.arange(BLOCK, dtype=np.float32)) / np.float32(_FADE * SAMPLE_RATE)
    fade: Samples = np.clip(left, 0.0, 1.0).astype(np.float32)
    return fade

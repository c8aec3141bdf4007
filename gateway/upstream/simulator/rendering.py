"""A song being made: from a recipe to encoded bytes, half a second at a time.

Blocking and slow by design: it is stepped by a worker thread, never by the event loop. Invariant: the pieces of one
recipe are the same every time. It must not know who listens, or when.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from gateway.upstream.simulator import scale, watermark
from gateway.upstream.simulator.music.composer import compose, title
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.synthesiser import Block, Synthesiser
from gateway.upstream.simulator.recipe import Recipe
from transcode.encoder import Mp3Encoder, wav_header

CHANNELS = 2
_CUT_FADE = int(0.3 * SAMPLE_RATE)


class Rendering:
    """Makes one recipe once. `samples` and `lyrics` are true for the pieces that have been made so far."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.samples = 0
        self.lyrics = ""

    def pieces(self) -> Iterator[bytes]:
        """The file, cut where it happens to be ready."""
        encode = self._mp3 if self._recipe.format == "mp3" else self._wav
        return encode(self._counted())

    def _counted(self) -> Iterator[Block]:
        ending = [watermark.mark()] if self._recipe.watermark else []
        for block in chain(self._music(), ending):
            self.samples += len(block)
            yield block

    def _music(self) -> Iterator[Block]:
        recipe = self._recipe
        if recipe.scenario == "scale":
            yield from scale.blocks(recipe.seconds or 0.0)
            return
        score = compose(recipe.text, lyrics=recipe.lyrics, gender=recipe.gender)
        self.lyrics = score.lyrics
        song = Synthesiser(score).blocks()
        yield from song if recipe.seconds is None else _cut(song, round(recipe.seconds * SAMPLE_RATE))

    def _mp3(self, blocks: Iterator[Block]) -> Iterator[bytes]:
        yield id3("A scale" if self._recipe.scenario == "scale" else title(self._recipe.text))
        encoder = Mp3Encoder(SAMPLE_RATE, CHANNELS, self._recipe.bitrate)
        for block in blocks:
            yield encoder.feed(block.tobytes())
        yield encoder.flush()

    def _wav(self, blocks: Iterator[Block]) -> Iterator[bytes]:
        yield wav_header(SAMPLE_RATE, CHANNELS)
        for block in blocks:
            yield block.tobytes()


def id3(name: str) -> bytes:
    """An ID3v2.4 tag with a title and the name of what made the song, as the provider's files begin with one."""
    frames = _text_frame(b"TIT2", name) + _text_frame(b"TSSE", "Wavegate simulator")
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def _text_frame(name: bytes, text: str) -> bytes:
    body = b"\x03" + text.encode()
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def _cut(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """At most so many samples, faded out at a cut."""
    start = 0
    for block in blocks:
        block = block[: samples - start]
        left = samples - start - np.arange(len(block))
        yield (block * np.clip(left / _CUT_FADE, 0.0, 1.0)[:, None]).astype(np.int16)
        start += len(block)
        if start >= samples:
            return

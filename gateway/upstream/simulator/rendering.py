"""A song being made: from a recipe to encoded bytes, half a second at a time.

Blocking and slow by design: it is stepped by a worker thread, never by the event loop. Invariant: the pieces of one
recipe are the same every time. It must not know who listens, or when.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from gateway.upstream.simulator import damage, scale, watermark
from gateway.upstream.simulator.heads import WAV_FORMS, id3, info_frame
from gateway.upstream.simulator.music.composer import compose, title
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.synthesiser import Block, Synthesiser
from gateway.upstream.simulator.recipe import CHANNELS, Recipe
from gateway.upstream.simulator.vbr import vary
from transcode.encoder import Mp3Encoder, wav_header

_CUT_FADE = int(0.3 * SAMPLE_RATE)


class Rendering:
    """Makes one recipe once. `samples` and `lyrics` are true for the pieces that have been made so far."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.samples = 0
        self.lyrics = ""

    def pieces(self) -> Iterator[bytes]:
        """The file, cut where it happens to be ready."""
        recipe = self._recipe
        made = self._mp3() if recipe.format == "mp3" else self._wav()
        if recipe.garbage is not None:
            size, after = recipe.garbage
            made = damage.spliced(made, round(after * recipe.bytes_per_second), damage.garbage(size))
        return damage.replaced(made) if recipe.noise else made

    def _counted(self) -> Iterator[Block]:
        ending = [watermark.mark()] if self._recipe.watermark else []
        for block in chain(self._music(), ending):
            self.samples += len(block)
            yield block

    def _music(self) -> Iterator[Block]:
        recipe = self._recipe
        if recipe.tune == "scale":
            yield from scale.blocks(recipe.seconds or 0.0)
            return
        score = compose(recipe.text, lyrics=recipe.lyrics, gender=recipe.gender)
        self.lyrics = score.lyrics
        song = Synthesiser(score).blocks()
        yield from song if recipe.seconds is None else _cut(song, round(recipe.seconds * SAMPLE_RATE))

    def _mp3(self) -> Iterator[bytes]:
        recipe = self._recipe
        if recipe.id3:
            yield id3("A scale" if recipe.tune == "scale" else title(recipe.text))
        if recipe.xing:
            yield info_frame(b"Xing" if recipe.vbr else b"Info", recipe.bitrate)
        yield from vary(self._encoded()) if recipe.vbr else self._encoded()

    def _encoded(self) -> Iterator[bytes]:
        encoder = Mp3Encoder(SAMPLE_RATE, CHANNELS, self._recipe.bitrate)
        for block in self._counted():
            yield encoder.feed(block.tobytes())
        yield encoder.flush()

    def _wav(self) -> Iterator[bytes]:
        form = self._recipe.wav
        yield wav_header(SAMPLE_RATE, CHANNELS) if form is None else WAV_FORMS[form](SAMPLE_RATE, CHANNELS)
        for block in self._counted():
            yield block.tobytes()


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

"""A song or speech being made: from a recipe to encoded bytes, half a second at a time.

Blocking and slow by design: it is stepped by a worker thread, never by the event loop. Invariant: the pieces of one
recipe are the same every time, and its sound is made at one rate and brought to the recipe's own at the end.
It must not know who listens, or when.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from gateway.upstream.simulator import damage, scale, speech, watermark
from gateway.upstream.simulator.heads import WAV_FORMS, id3, info_frame
from gateway.upstream.simulator.music.composer import compose, title
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.synthesiser import Block, Synthesiser
from gateway.upstream.simulator.recipe import CHANNELS, Recipe
from gateway.upstream.simulator.vbr import vary
from transcode.mp3encoder import Mp3Encoder
from transcode.resampler import Resampler
from transcode.wavheader import wav_header

_CUT_FADE = int(0.3 * SAMPLE_RATE)


class Rendering:
    """Makes one recipe once. `samples` and `lyrics` are true for the pieces that have been made so far; samples are
    counted at the recipe's rate, per channel.
    """

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

    def _pcm(self) -> Iterator[bytes]:
        """The sound as the recipe wants it, each piece counted before it is given."""
        recipe = self._recipe
        ending = [watermark.mark()] if recipe.watermark else []
        resampler = Resampler(SAMPLE_RATE, CHANNELS, recipe.sample_rate, recipe.channels)
        for block in chain(self._music(), ending):
            yield self._counted(resampler.feed(block.tobytes()))
        yield self._counted(resampler.flush())

    def _counted(self, pcm: bytes) -> bytes:
        recipe, size = self._recipe, 2 * self._recipe.channels
        start, self.samples = self.samples, self.samples + len(pcm) // size
        if recipe.mute is None:
            return pcm
        heard = max(0, round(recipe.mute * recipe.sample_rate) - start) * size
        return pcm[:heard].ljust(len(pcm), b"\0")

    def _music(self) -> Iterator[Block]:
        recipe = self._recipe
        if recipe.tune == "scale":
            yield from scale.blocks(recipe.seconds or 0.0, recipe.sample_rate)
            return
        if recipe.delivery is not None:
            sound = speech.blocks(recipe.text, recipe.delivery)
        else:
            score = compose(recipe.text, lyrics=recipe.lyrics, gender=recipe.gender)
            self.lyrics = score.lyrics
            sound = Synthesiser(score).blocks()
        yield from sound if recipe.seconds is None else _cut(sound, round(recipe.seconds * SAMPLE_RATE))

    def _mp3(self) -> Iterator[bytes]:
        recipe = self._recipe
        if recipe.id3:
            yield id3("A scale" if recipe.tune == "scale" else title(recipe.text))
        if recipe.xing:
            mark = b"Xing" if recipe.vbr else b"Info"
            yield info_frame(mark, recipe.bitrate, recipe.sample_rate, recipe.channels)
        yield from vary(self._encoded()) if recipe.vbr else self._encoded()

    def _encoded(self) -> Iterator[bytes]:
        encoder = Mp3Encoder(self._recipe.sample_rate, self._recipe.channels, self._recipe.bitrate)
        for pcm in self._pcm():
            yield encoder.feed(pcm)
        yield encoder.flush()

    def _wav(self) -> Iterator[bytes]:
        recipe = self._recipe
        header = wav_header if recipe.wav is None else WAV_FORMS[recipe.wav]
        yield header(recipe.sample_rate, recipe.channels)
        yield from self._pcm()


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

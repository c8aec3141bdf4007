"""A voice that speaks: a text in, blocks of speech-like sound out, as far as anyone has asked.

Nobody understands it, but it has what a codec, a meter and an ear look for in speech: syllables, pauses, a voice and
its melody. Invariant: the same text and delivery give the same samples; syllables are made whole when their start is
reached, so blocks join without a seam and nothing is made that nobody has asked for.
It must not know how a text is cut into syllables, nor encodings, time or who listens.
"""

from collections.abc import Iterator

import numpy as np

from gateway.upstream.simulator import prosody
from gateway.upstream.simulator.music.mixdown import BLOCK, limit
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples
from gateway.upstream.simulator.music.singer import Singer
from gateway.upstream.simulator.music.synthesiser import Block
from gateway.upstream.simulator.prosody import USUAL_VOLUME, Delivery

TAIL = 0.3
"""Seconds of silence that end it, the last syllable's fading included."""

_LEVEL = 0.34  # -20 dBFS while speaking, measured over several voices at the usual volume
_LONGEST_NOTE = 2 * SAMPLE_RATE


def blocks(text: str, delivery: Delivery) -> Iterator[Block]:
    """The text said, in blocks of half a second, both sides alike; the last one may be shorter.

    What holds nothing that can be said is a moment of silence.
    """
    who = prosody.speaker(delivery.voice)
    singer = Singer(who.gender, who.seed)
    level = np.float32(_LEVEL * delivery.volume / USUAL_VOLUME)
    ahead = np.zeros(BLOCK + _LONGEST_NOTE, dtype=np.float32)
    start = end = 0
    for note in prosody.notes(text, delivery):
        at = round(note.start * SAMPLE_RATE)
        while at >= start + BLOCK:
            yield _taken(ahead, BLOCK)
            start += BLOCK
        sound = singer.play(note.pitch, note.seconds, note.velocity, note.sound, note.slide)[0]
        ahead[at - start : at - start + len(sound)] += sound * level
        end = round((note.start + note.seconds) * SAMPLE_RATE)
    end += round(TAIL * SAMPLE_RATE)
    while start < end:
        yield _taken(ahead, min(BLOCK, end - start))
        start += BLOCK


def _taken(ahead: Samples, count: int) -> Block:
    """The front of the buffer, of which a block is then dropped."""
    side = (limit(ahead[:count]) * 32767.0).round().astype(np.int16)
    ahead[:-BLOCK] = ahead[BLOCK:]
    ahead[-BLOCK:] = 0.0
    return np.stack((side, side), axis=1)

"""How a text is said: its syllables on the clock, each with a pitch, a length and a force, phrase by phrase.

A sentence falls from its beginning to its end and rises at the end of a question; commas pause it, full stops end it,
and what is longer than a breath is cut by one. Invariant: the notes come in the order of their starts, are a pure
function of text and delivery, and are made one phrase at a time, however long the text is.
It must not know samples or encodings.
"""

import hashlib
import math
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.upstream.simulator.music.lyric import Syllable, stanzas
from gateway.upstream.simulator.music.score import Note, Part

USUAL_VOLUME = 50

_SYLLABLE = 0.205  # seconds; with the long last ones, four and a half a second
_LEAD_IN = 0.06
_LAST_IS_LONGER = 1.35
_GAP = 0.085  # of a syllable's time its sound leaves so much to the voice's fading, as far as it has it
_SHORTEST = 0.03
# Signs that end a phrase, and the seconds of silence after them; a point or a comma between digits is none of them.
_PAUSES = {'()（）[]【】《》"“”': 0.08, ",，、:：;；—": 0.20, ".。!！?？…": 0.45, "\n\r": 0.55}
_BREATH = 0.13
_PAUSE_OF = {sign: seconds for signs, seconds in _PAUSES.items() for sign in signs}
_SIGNS = re.escape("".join(_PAUSE_OF))
_PHRASE = re.compile(rf"((?:[^{_SIGNS}]|(?<=\d)[.,:](?=\d))*)((?:(?!(?<=\d)[.,:](?=\d))[{_SIGNS}]|\s)*)")
# Semitones above a voice's own pitch at which a phrase begins, and where it goes.
_TOP, _BOTTOM, _OPEN, _QUESTION = 3.0, -4.0, -1.5, 5.0
_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_HAN = range(0x4E00, 0xA000)
# MIDI pitch of the lowest voice; voices are spread over seven semitones: 98 to 139 Hz and 175 to 247 Hz.
_LOWEST = {"male": 43, "female": 53}
_SPREAD = 7


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it is to be said: `rate` and `pitch` are factors of the usual, 0.5 to 2; `volume` is 0 to 100, 50 usual."""

    voice: str
    rate: float = 1.0
    pitch: float = 1.0
    volume: int = USUAL_VOLUME


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who a voice's name is: `male` or `female`, a MIDI pitch around which it speaks, a seed for its throat."""

    gender: str
    pitch: int
    seed: int


def speaker(voice: str) -> Speaker:
    """The same name is always the same speaker."""
    digest = hashlib.sha256(voice.encode()).digest()
    gender = ("female", "male")[digest[0] % 2]
    return Speaker(gender, _LOWEST[gender] + digest[1] % _SPREAD, int.from_bytes(digest[2:6], "big"))


def notes(text: str, delivery: Delivery) -> Iterator[Note]:
    """The syllables, times in seconds from the first sample."""
    who = speaker(delivery.voice)
    base = who.pitch + 12 * math.log2(delivery.pitch)
    draw = random.Random(hashlib.sha256(f"{delivery.voice}\n{text}".encode()).digest())  # noqa: S311 - intonation is no secret
    at, before = _LEAD_IN, 0
    for phrase, signs in _phrases(text):
        groups = [line for stanza in stanzas(phrase) for line in stanza.lines]
        contour = _contour(sum(map(len, groups)), signs, draw)
        for number, group in enumerate(groups):
            at += _BREATH / delivery.rate if number else 0.0
            for place, syllable in enumerate(group, start=1):
                length = _SYLLABLE * draw.uniform(0.85, 1.12) / delivery.rate
                length *= _LAST_IS_LONGER if place == len(group) else 1.0
                pitch = round(base + next(contour))
                slide = before - pitch if place > 1 else 0
                yield _note(syllable, at, length, pitch, slide, draw.uniform(0.78, 1.0))
                at += length
                before = pitch
        at += max((_PAUSE_OF.get(sign, 0.0) for sign in signs), default=0.0) / delivery.rate


def _note(syllable: Syllable, start: float, length: float, pitch: int, slide: int, force: float) -> Note:
    seconds = max(_SHORTEST, length - _GAP)
    return Note(Part.LEAD, start, seconds, pitch, force, f"{syllable.onset} {syllable.vowel}", max(-5, min(5, slide)))


def _phrases(text: str) -> Iterator[tuple[str, str]]:
    """What is said in one go, as letters only, and the signs behind it."""
    for found in _PHRASE.finditer(text):
        if found[0]:
            yield "".join(map(_sayable, found[1])), found[2]


def _sayable(character: str) -> str:
    """A Latin letter or a Chinese character that stands for it, since others have no sound in the lyrics' tables."""
    if character.isascii():
        return _DIGITS.get(character, character)
    if ord(character) in _HAN or not character.isalnum():
        return character
    letter = unicodedata.normalize("NFKD", character)[0]
    return _DIGITS.get(letter, letter) if letter.isascii() else chr(_HAN[ord(character) % len(_HAN)])


def _contour(count: int, signs: str, draw: random.Random) -> Iterator[float]:
    """Semitones above the voice's own pitch, one for each syllable: a fall, with an accent on some of them."""
    asked = "?" in signs or "？" in signs
    goal = _BOTTOM if any(_PAUSE_OF.get(sign, 0.0) > 0.3 for sign in signs) or not signs.strip() else _OPEN
    for number in range(count):
        part = number / max(1, count - 1)
        accent = draw.choice((0.0, 0.0, 1.0, 2.0)) * (1.0 - part) - draw.choice((0.0, 0.0, 1.0))
        rise = _QUESTION - goal if asked and number == count - 1 else 0.0
        yield _TOP + (goal - _TOP) * part + accent + rise

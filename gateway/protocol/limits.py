"""The provider's own limits on a request, checked before anything is spent.

Invariant: `check` raises for what the provider would refuse, and `applied` is the one place that says which fields
count when several are given: what is checked, what the warnings say and what is sent cannot drift apart.
Counting is soft by nature (the provider does not say how it counts); tests/vectors/counting.json pins it for the
browser's counter too. It must not know how a request came or where it goes.
"""

import re
from dataclasses import replace
from typing import NamedTuple

from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest

V1 = "fun-music-v1"
PREVIEW = "fun-music-preview"
MODELS = (V1, PREVIEW)
GENDERS = ("male", "female")
FORMATS = ("mp3", "wav")

# Unicode 17, Script=Han, as \p{Script=Han} has it in a browser; Python's re does not know scripts.
HAN = (
    "\u2e80-\u2e99\u2e9b-\u2ef3\u2f00-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufa6d\ufa70-\ufad9\U00016fe2-\U00016fe3\U00016ff0-\U00016ff6\U00020000-\U0002a6df\U0002a700-\U0002b81d"
    "\U0002b820-\U0002cead\U0002ceb0-\U0002ebe0\U0002ebf0-\U0002ee5d\U0002f800-\U0002fa1d\U00030000-\U0003134a"
    "\U00031350-\U00033479"
)
# Latin letters with and without accents, and their full-width forms: what English in a song may be written in.
_LATIN = "A-Za-zªºÀ-ÖØ-öø-ʸᴀ-ᶿḀ-ỿⱠ-Ɀ꜠-ꟿﬀ-ﬆＡ-Ｚａ-ｚ"
_han = re.compile(f"[{HAN}]")
_known = re.compile(f"[{HAN}{_LATIN}]")
_letter_or_digit = re.compile(r"[^\W_]")
_other_than_han = re.compile(rf"[^\W_{HAN}]")
_tag = re.compile(r"\[[A-Za-z][A-Za-z0-9 _-]{0,30}\]")

# No text that fits a band comes near this many characters; what is longer is not worth the time to count it.
_MAX_CHARACTERS = 10_000
# Of the letters of a text, the share that may be in other scripts: a name or a cry in one does not make a language.
_OTHER_SCRIPTS = 0.2


class Band(NamedTuple):
    """How much is allowed, both ends included."""

    low: int
    high: int
    unit: str

    def holds(self, found: int) -> bool:
        return self.low <= found <= self.high


_HAN_UNIT = "Chinese characters"
_WORDS_UNIT = "English words"
_ENGLISH_UNIT = "English characters"
_CHARACTERS_UNIT = "characters"

# (mode, field) -> the band for Chinese and the one for English.
BANDS: dict[tuple[Mode, str], dict[str, Band]] = {
    (Mode.STREAM, "prompt"): {"zh": Band(5, 1000, _HAN_UNIT), "en": Band(5, 1000, _WORDS_UNIT)},
    (Mode.STREAM, "lyrics"): {"zh": Band(300, 350, _HAN_UNIT), "en": Band(200, 250, _WORDS_UNIT)},
    (Mode.FILE, "prompt"): {"zh": Band(1, 2000, _CHARACTERS_UNIT), "en": Band(1, 2000, _CHARACTERS_UNIT)},
    (Mode.FILE, "lyrics"): {"zh": Band(5, 350, _HAN_UNIT), "en": Band(5, 2000, _ENGLISH_UNIT)},
}


class Counted(NamedTuple):
    """A text measured: `language` is zh or en, `length` its Han characters (zh) or words (en), tags left out."""

    language: str
    length: int


def count(text: str) -> Counted:
    """Measures a text. It is Chinese when it has more Han characters than words that hold anything else."""
    text = _tag.sub(" ", text)
    han = len(_han.findall(text))
    words = [word for word in text.split() if _letter_or_digit.search(word)]
    foreign = sum(1 for word in words if _other_than_han.search(word))
    return Counted("zh", han) if han > foreign else Counted("en", len(words))


def applied(request: SongRequest) -> SongInput:
    """The fields that count: what the provider ignores, and text without a visible character, is None."""
    given = request.input
    prompt, lyrics, gender = _text(given.prompt), _text(given.lyrics), given.gender
    if given.is_instrumental:
        lyrics = gender = None
    elif request.model == V1 and lyrics is not None:
        prompt = None
    if request.model == PREVIEW:
        gender = None
    return replace(given, prompt=prompt, lyrics=lyrics, gender=gender)


def check(request: SongRequest) -> list[str]:
    """Warnings about fields that are ignored. Raises RequestError `invalid_input` or `unsupported_language`."""
    given = request.input
    _one_of("model", request.model, MODELS)
    _one_of("input.format", given.format, FORMATS)
    if given.gender is not None:
        if request.model == PREVIEW:
            raise RequestError(
                "invalid_input", f"{PREVIEW} does not let you choose a voice. Leave gender out.", param="input.gender"
            )
        _one_of("input.gender", given.gender, GENDERS)
    counts = applied(request)
    _require_text(request, counts)
    for name, text in (("prompt", counts.prompt), ("lyrics", counts.lyrics)):
        if text is not None:
            _check_size(name, text)
            _check_language(name, text)
            _check_length(request.mode, name, text)
    return _warnings(given, counts)


def _text(text: str | None) -> str | None:
    return (text.strip() or None) if text is not None else None


def _one_of(param: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        name = param.rpartition(".")[2]
        raise RequestError("invalid_input", f"The {name} must be {' or '.join(allowed)}.", param=param)


def _require_text(request: SongRequest, counts: SongInput) -> None:
    if counts.prompt is not None or (counts.lyrics is not None and request.model != PREVIEW):
        return
    if request.input.is_instrumental:
        message = "An instrumental has no lyrics, so it needs a prompt. Describe the music in input.prompt."
    elif request.model == PREVIEW:
        message = f"{PREVIEW} needs a prompt. Describe the music in input.prompt; lyrics may be given beside it."
    else:
        message = "There is nothing to sing. Give input.prompt or input.lyrics."
    raise RequestError("invalid_input", message, param="input.prompt")


def _check_size(name: str, text: str) -> None:
    if len(text) > _MAX_CHARACTERS:
        raise RequestError(
            "invalid_input",
            f"The {name} may not be longer than {_MAX_CHARACTERS} characters in any mode. Take out at least "
            f"{len(text) - _MAX_CHARACTERS}.",
            param=f"input.{name}",
        )


def _check_language(name: str, text: str) -> None:
    known = len(_known.findall(text))
    other = sum(map(str.isalpha, _known.sub("", text)))
    if other > (known + other) * _OTHER_SCRIPTS:
        raise RequestError(
            "unsupported_language",
            f"The {name} may be Chinese or English only; {other} of {known + other} letters are in another script. "
            "Translate or transcribe them.",
            param=f"input.{name}",
        )


def _check_length(mode: Mode, name: str, text: str) -> None:
    found, band = _measure(mode, name, text)
    if band.holds(found):
        return
    change = f"Add at least {band.low - found}" if found < band.low else f"Take out at least {found - band.high}"
    have = "have" if name == "lyrics" else "has"
    message = f"The {name} {have} {found} {band.unit}; mode {mode.value} takes {_allowed(mode, name)}. {change}"
    if mode is Mode.STREAM:
        found, band = _measure(Mode.FILE, name, text)
        if band.holds(found):
            message += f", or use mode file, which takes {_allowed(Mode.FILE, name)}"
    raise RequestError("invalid_input", f"{message}.", param=f"input.{name}")


def _measure(mode: Mode, name: str, text: str) -> tuple[int, Band]:
    language, found = count(text)
    band = BANDS[mode, name][language]
    if band.unit in (_CHARACTERS_UNIT, _ENGLISH_UNIT):
        found = len(_tag.sub("", text).strip())
    return found, band


def _allowed(mode: Mode, name: str) -> str:
    zh, en = BANDS[mode, name].values()
    if zh == en:
        return f"{zh.low} to {zh.high} {zh.unit}"
    if (zh.low, zh.high) == (en.low, en.high):
        return f"{zh.low} to {zh.high} {zh.unit} or {en.unit}"
    return f"{zh.low} to {zh.high} {zh.unit} or {en.low} to {en.high} {en.unit}"


def _warnings(given: SongInput, counts: SongInput) -> list[str]:
    warnings: list[str] = []
    if given.is_instrumental and _text(given.lyrics) is not None:
        warnings.append("The lyrics are ignored: the song is instrumental.")
    if given.is_instrumental and given.gender is not None:
        warnings.append("The gender is ignored: the song is instrumental.")
    if counts.prompt is None and _text(given.prompt) is not None:
        warnings.append("The prompt is ignored: when both are given, the lyrics count.")
    return warnings

"""What an encoder is asked for: a wish, checked against what the codec can do, and filled in from what the song is.

Invariant: equal specs are equal encodes, so a spec is the key by which one encoder is shared by all who hear it; a wish
that `check` lets through can be resolved for every song. What a codec can do stands in one table here.
It must not know encoders, containers or who wishes.
"""

from dataclasses import dataclass

from transcode.errors import UnsupportedFormat
from transcode.formats import Format, StreamFormat
from transcode.mp3header import bitrates

RATES = range(8000, 48001)
_NINE = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS = (8000, 12000, 16000, 24000, 48000)
# LUFS. Below, quiet becomes noise; above, nothing is left that a limiter would not flatten.
LOUDNESS = (-40.0, -8.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """How somebody wants to hear a format; what is None is the song's own, or what is usual.

    `sample_rate` in Hz, `bitrate` in bit/s, `loudness` in LUFS (EBU R128).
    """

    sample_rate: int | None = None
    channels: int | None = None
    bitrate: int | None = None
    loudness: float | None = None


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What one encoder makes. `codec` as in `Format`; `bitrate` is None where it has none, `loudness` to leave it."""

    codec: str
    sample_rate: int
    channels: int
    bitrate: int | None
    loudness: float | None = None


@dataclass(frozen=True, slots=True)
class _Ability:
    """A codec's row. `rates` empty is all of RATES; `bitrates` are a range in bit/s, its upper end for each channel.

    `usual` is the bitrate in bit/s a channel of a song at 44.1 or 48 kHz, `least` what is usual at any rate.
    """

    rates: tuple[int, ...] = ()
    bitrates: tuple[int, int] | None = None
    usual: int = 0
    least: int = 0


_ABILITIES = {
    "pcm": _Ability(),
    "flac": _Ability(),
    "mp3": _Ability(_NINE, (8000, 320_000), 96_000),
    # Above 160 kbit/s a channel FFmpeg's encoder has nothing to spend them on. Below 20 music at low rates is no
    # longer like itself (a correlation of 0.98).
    "aac": _Ability(_NINE, (8000, 160_000), 64_000, 20_000),
    # The same below 32, also at 24 kHz: what is left of it is coded as if it were speech.
    "opus": _Ability(_OPUS, (6000, 256_000), 48_000, 32_000),
}


def check(form: Format, wish: Wish) -> None:
    """Raises UnsupportedFormat for what no song could be heard as, naming what is possible."""
    ability = _ABILITIES[form.codec]
    rate = wish.sample_rate
    if rate is not None and rate not in (ability.rates or RATES):
        raise UnsupportedFormat(
            "sample_rate", f"{form.name} has the sample rates {_listed(ability.rates)}, not {rate}."
        )
    if wish.channels not in (None, 1, 2):
        raise UnsupportedFormat("channels", f"{form.name} has 1 or 2 channels, not {wish.channels}.")
    if wish.bitrate is not None:
        _check_bitrate(form, ability, wish, wish.bitrate)
    low, high = LOUDNESS
    if wish.loudness is not None and not low <= wish.loudness <= high:
        raise UnsupportedFormat("loudness", f"The loudness can be {low:g} to {high:g} LUFS, not {wish.loudness:g}.")


def resolve(form: Format, wish: Wish, song: StreamFormat) -> EncoderSpec:
    """What to encode for this wish and this song. Raises as `check` does."""
    check(form, wish)
    ability = _ABILITIES[form.codec]
    rate = wish.sample_rate or _nearest_rate(ability.rates or _NINE, song.sample_rate, exact=not ability.rates)
    channels = wish.channels or song.channels
    return EncoderSpec(form.codec, rate, channels, _bitrate(form, ability, wish, rate, channels), wish.loudness)


def _check_bitrate(form: Format, ability: _Ability, wish: Wish, bitrate: int) -> None:
    if ability.bitrates is None:
        raise UnsupportedFormat("bitrate", f"{form.name} has no bitrate to choose.")
    if form.codec == "mp3":
        rates = [wish.sample_rate] if wish.sample_rate is not None else list(_NINE)
        allowed = sorted({known for rate in rates for known in bitrates(rate)})
        if bitrate not in allowed:
            where = f" at {wish.sample_rate} Hz" if wish.sample_rate is not None else ""
            raise UnsupportedFormat("bitrate", f"mp3{where} has the bitrates {_listed(tuple(allowed))}, not {bitrate}.")
        return
    low, high = ability.bitrates[0], ability.bitrates[1] * (wish.channels or 2)
    if not low <= bitrate <= high:
        raise UnsupportedFormat("bitrate", f"{form.name} has bitrates from {low} to {high}, not {bitrate}.")


def _nearest_rate(rates: tuple[int, ...], rate: int, *, exact: bool) -> int:
    """The song's own rate where the codec has it, else the next one above it, else the highest."""
    if rate in rates or (exact and rate in RATES):
        return rate
    return min((known for known in rates if known > rate), default=rates[-1])


def _bitrate(form: Format, ability: _Ability, wish: Wish, rate: int, channels: int) -> int | None:
    if ability.bitrates is None:
        return None
    # Half the bandwidth needs about half the bits.
    usual = max(ability.usual * min(1.0, rate / 44100), ability.least) * channels
    wanted = wish.bitrate or usual
    if form.codec == "mp3":
        return min(bitrates(rate), key=lambda known: abs(known - wanted))
    low, high = ability.bitrates[0], ability.bitrates[1] * channels
    if form.codec == "aac":
        high = min(high, 6 * rate * channels)  # the most that its frames can hold
    return int(min(max(wanted, low), high))


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) if values else f"{RATES[0]} to {RATES[-1]}"

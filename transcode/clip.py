"""A clip out of a song: its bytes as they are, or as far as there are any, decoded, cut, and encoded as a whole file.

Invariant: lengths are exact to the sample at the rate at which the clip will be heard, to which the song is brought
first, so that nothing is resampled across the seam of a loop. Only signed 16-bit samples ever reach pydub.
It must not run in the process that serves listeners: pydub holds the interpreter for up to 177 ms at a time.

pydub cuts, joins and scales. Its fades are steps of 1 ms, its crossfades are linear and lose 1.3 dB in the middle, and
its times are whole milliseconds: fades and seams are made of the samples themselves.
"""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import inf
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from transcode.converter import Converter
from transcode.edit import Edit, Span
from transcode.errors import ClipError
from transcode.formats import FLAC, MP3, PCM, WAV, Format, StreamFormat
from transcode.framer import Framer
from transcode.lametag import info
from transcode.normalise import normalised
from transcode.spec import EncoderSpec, Wish, resolve
from transcode.transcoder import Transcoder
from transcode.wavheader import wav_header

_SLICE: Final = 256 << 10  # bytes of a song that are decoded at once
_SECONDS: Final = 10  # of a clip that are encoded at once
_FULL: Final = 32767
# In a FLAC file: the number of samples is the last 36 bits of these octets, the MD5 of all samples those after them.
_FLAC_TOTAL, _FLAC_MD5 = slice(21, 26), slice(26, 42)


def clip(song: bytes, edit: Edit, form: Format, wish: Wish, *, longest: float = inf) -> bytes:
    """A whole file of `form`, as `wish` has it. A song that is not whole is cut as far as it goes.

    `longest` is the most seconds that a clip may have. Raises ClipError, UnsupportedFormat for the wish, and
    UnknownFormat for a song that is none.
    """
    edit.check(longest)
    if edit.loudness is None and wish.loudness is not None:
        edit = replace(edit, normalize=wish.loudness)
    # The clip has its loudness once it is cut; the encoder is not to change it again.
    spec = resolve(form, replace(wish, loudness=None), _format(song))
    wanted = edit.duration if edit.duration is not None else inf
    pcm, before = _decoded(song, spec, edit.start, min(wanted, longest + 1 / spec.sample_rate))
    if not pcm:
        edit.span(before, spec.sample_rate)  # which raises, and says how much there is
    if len(pcm) // (2 * spec.channels) > longest * spec.sample_rate + 0.5:
        raise ClipError("duration", f"A clip is at most {longest:g} s long; this one needs a duration.")
    return _encoded(cut(pcm, spec.sample_rate, spec.channels, replace(edit, start=0.0)), form, spec)


def cut(pcm: bytes, sample_rate: int, channels: int, edit: Edit) -> bytes:
    """The edited samples of `pcm`, which is signed 16-bit little-endian, channels interleaved. Raises ClipError."""
    span = edit.span(len(pcm) // (2 * channels), sample_rate)
    song = _segment()(data=pcm, sample_width=2, frame_rate=sample_rate, channels=channels)
    part = song.get_sample_slice(span.start, span.end)
    if span.crossfade:
        part = _looped(part, span.crossfade)
    edited = _faded(part.raw_data, channels, span)
    if edit.loudness is None:
        return edited
    return normalised(edited, sample_rate, channels, edit.loudness, loop=span.crossfade > 0)


@cache
def _segment() -> Any:
    """pydub's AudioSegment, which has no types. Only a clip that is really cut loads it."""
    with warnings.catch_warnings():
        # It looks for an ffmpeg that it does not need here, and for a module that leaves with Python 3.13.
        warnings.filterwarnings("ignore", "Couldn't find ffmpeg or avconv", RuntimeWarning)
        warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "(?s).*invalid escape sequence", SyntaxWarning)
        warnings.filterwarnings("ignore", "(?s).*invalid escape sequence", DeprecationWarning)
        from pydub import AudioSegment
    return AudioSegment


def _looped(part: Any, crossfade: int) -> Any:
    """The segment with its tail blended into its head, by equal power, or equal gain as far as the two are alike."""
    length = int(part.frame_count())
    tail, head = (
        _samples(part.get_sample_slice(start, start + crossfade).raw_data, part.channels).astype(np.float64)
        for start in (length - crossfade, 0)
    )
    angle = np.pi / 2 * np.arange(crossfade)[:, None] / crossfade
    alike = (tail * head).sum() / max(1.0, np.sqrt((tail**2).sum() * (head**2).sum()))
    blend = tail * np.cos(angle) + head * np.sin(angle)
    blend /= np.sqrt(1 + max(0.0, alike) * np.sin(2 * angle))
    body = part.get_sample_slice(crossfade, length - crossfade)
    peak = np.abs(blend).max()
    if peak > _FULL:
        # By at most 3 dB, and all of it: a limiter that acts on a seam is what a loop must not have.
        body = body.apply_gain(20 * np.log10(_FULL / peak))
        blend *= _FULL / peak
    seam = part._spawn(np.rint(blend).astype("<i2").tobytes())
    return seam.append(body, crossfade=0)


def _faded(pcm: bytes, channels: int, span: Span) -> bytes:
    """Straight fades of the amplitude, from 0 at the very first sample and to 0 at the last."""
    if not span.fade_in and not span.fade_out:
        return pcm
    samples = _samples(pcm, channels).copy()
    for faded, length in ((samples, span.fade_in), (samples[::-1], span.fade_out)):
        ramp = np.arange(length)[:, None] / max(1, length)
        faded[:length] = np.rint(faded[:length] * ramp)
    return samples.tobytes()


def _samples(pcm: bytes, channels: int) -> npt.NDArray[np.int16]:
    """(n, channels), to be read only."""
    return np.frombuffer(pcm, dtype="<i2").reshape(-1, channels)


def _format(song: bytes) -> StreamFormat:
    framer = Framer()
    for piece in (*_pieces(song, _SLICE), None):
        if piece is None:
            framer.flush()
        else:
            framer.feed(piece)
        if framer.format is not None:
            return framer.format
    raise ClipError("start", "There is no sound of this song yet.")


def _decoded(song: bytes, spec: EncoderSpec, start: float, seconds: float) -> tuple[bytes, int]:
    """Samples from `start` on, `seconds` of them or as many as there are; and how many there are before those."""
    block = 2 * spec.channels
    skip = first = round(start * spec.sample_rate) * block
    wanted = max(1, round(seconds * spec.sample_rate)) * block if seconds < inf else inf
    transcoder = Transcoder(EncoderSpec("pcm", spec.sample_rate, spec.channels, None))
    found = bytearray()
    try:
        for piece in (*_pieces(song, _SLICE), None):
            for packet in transcoder.flush() if piece is None else transcoder.feed(piece):
                dropped = min(skip, len(packet.data))
                skip -= dropped
                found += packet.data[dropped:]
            if len(found) >= wanted:
                del found[int(wanted) :]
                break
    finally:
        transcoder.close()
    return bytes(found), (first - skip) // block


def _encoded(pcm: bytes, form: Format, spec: EncoderSpec) -> bytes:
    if form is PCM:
        return pcm
    if form is WAV:
        return wav_header(spec.sample_rate, spec.channels, len(pcm)) + pcm
    converter = Converter(form, spec, pcm=StreamFormat(PCM, spec.sample_rate, spec.channels, None))
    try:
        pieces = _pieces(pcm, _SECONDS * spec.sample_rate * 2 * spec.channels)
        chunks = [chunk for piece in pieces for chunk in converter.feed(piece)]
        chunks += converter.flush()
        file = b"".join((converter.init, *(chunk.data for chunk in chunks)))
    finally:
        converter.close()
    if form is MP3:
        # What the encoder put around the clip would be heard, in a loop as a gap, if nobody said it.
        return info(file, -chunks[0].pts, sum(chunk.padding for chunk in chunks)) + file
    return _whole_flac(file, pcm, spec.channels) if form is FLAC else file


def _whole_flac(file: bytes, pcm: bytes, channels: int) -> bytes:
    """With the length and the checksum in its header that a live one cannot know."""
    head = bytearray(file[: _FLAC_MD5.stop])
    total = int.from_bytes(head[_FLAC_TOTAL], "big") >> 36 << 36 | len(pcm) // (2 * channels)
    head[_FLAC_TOTAL] = total.to_bytes(5, "big")
    head[_FLAC_MD5] = hashlib.md5(pcm, usedforsecurity=False).digest()
    return bytes(head) + file[_FLAC_MD5.stop :]


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))

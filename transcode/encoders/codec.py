"""One of FFmpeg's audio encoders at work, without a muxer and without threads of its own.

Invariant: units come out as soon as the encoder has them, whole and never empty; what they hold depends on the samples,
not on how they were cut. PyAV cuts them to the encoder's frames by itself.
It must not know one codec from another, nor time in the song.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np

from transcode.errors import EncodeError
from transcode.remix import LAYOUTS
from transcode.samples import Block, as_float, as_s16

_NO_OPTIONS: Mapping[str, str] = {}


class Codec:
    """Encodes blocks at `sample_rate` Hz in 1 or 2 channels. `form` is FFmpeg's name of the sample format that the
    encoder takes. Raises `EncodeError` for what the encoder refuses.
    """

    def __init__(
        self,
        name: str,
        sample_rate: int,
        channels: int,
        bitrate: int | None,
        form: str,
        options: Mapping[str, str] = _NO_OPTIONS,
    ) -> None:
        self._layout = LAYOUTS[channels]
        self._rate, self._time_base = sample_rate, Fraction(1, sample_rate)
        self._pts = 0
        self._floats = True  # what the first block was, and so all blocks are
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.AudioCodecContext), "what is encoded here is sound"
        self._context = context
        context.sample_rate, context.layout, context.format = sample_rate, self._layout, form
        context.time_base = self._time_base
        if bitrate is not None:
            context.bit_rate = bitrate
        context.options = dict(options)
        try:
            context.open()
        except av.FFmpegError as error:
            raise EncodeError(f"no {name} at {sample_rate} Hz, {channels} channels, {bitrate} bit/s") from error

    @property
    def extradata(self) -> bytes:
        """What a container must hold beside the units."""
        return self._context.extradata or b""

    @property
    def frame(self) -> int:
        """Samples in a unit."""
        return self._context.frame_size

    def encode(self, block: Block) -> list[bytes]:
        """The units that this block completes."""
        if not block.shape[1]:
            return []
        if not self._pts:
            self._floats = block.dtype == np.float32
        samples: Block = as_float(block) if self._floats else as_s16(block)
        # The graph that cuts to frames converts and interleaves, too: in passing, and three times as fast as numpy.
        frame = av.AudioFrame("fltp" if self._floats else "s16p", self._layout, block.shape[1])
        for plane, row in zip(frame.planes, np.ascontiguousarray(samples), strict=True):
            plane.update(row)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, self._time_base, self._pts
        if self._pts:
            units = self._units(frame)
        else:
            with _one_cpu():
                units = self._units(frame)
        self._pts += frame.samples
        return units

    def finish(self) -> list[bytes]:
        """The units that were not complete. The encoder is of no use afterwards."""
        return self._units(None) if self._pts else []

    def _units(self, frame: av.AudioFrame | None) -> list[bytes]:
        try:
            return [bytes(packet) for packet in self._context.encode(frame) if packet.size]
        except av.FFmpegError as error:
            raise EncodeError(f"{self._context.name} has failed: {error.strerror}") from error


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Within, this thread may run on one CPU only.

    PyAV cuts samples to frames by a filter graph, made with the first of them, which starts an idle thread for every
    CPU that its maker may run on, and cannot be told otherwise. Where there is one CPU, it starts none.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):  # not allowed here: then there are idle threads
        os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)

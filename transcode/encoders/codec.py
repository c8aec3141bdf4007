"""One of FFmpeg's audio encoders at work, without a muxer and without threads of its own.

Invariant: units come out as soon as the encoder has them, whole and never empty; what they hold depends on the samples,
not on how they were cut.
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
_MOST = 1 << 20  # samples that are fed at once


class Codec:
    """Encodes at `sample_rate` Hz in 1 or 2 channels. `form` is FFmpeg's name of the sample format that the encoder
    takes. Raises `EncodeError` for what the encoder refuses.
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
        self._rest: Block | None = None  # of the kind of the first block, as which all are fed
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
        # Whole frames are fed, of which the graph keeps nothing back: it would keep all that came with it.
        self._step = context.frame_size or 1

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
        if self._rest is None:
            self._rest = block[:, :0]
        samples: Block = as_float(block) if self._rest.dtype == np.float32 else as_s16(block)
        held, rest = self._rest.shape[1], self._rest
        end = (held + samples.shape[1]) // self._step * self._step - held  # of what makes whole frames with the rest
        if end <= 0:
            self._rest = np.concatenate((rest, samples), axis=1)
            return []
        self._rest = samples[:, end:].copy()
        if self._pts:
            begin = min(end, _MOST)
            units = self._fed(rest, samples[:, :begin])
        else:
            # PyAV keeps the first frame that it sees, so that is a short one.
            begin = self._step - held
            with _one_cpu():
                units = self._fed(rest, samples[:, :begin])
        for at in range(begin, end, _MOST):
            units += self._fed(samples[:, at : min(at + _MOST, end)])
        return units

    def finish(self) -> list[bytes]:
        """The units that were not complete. The encoder is of no use afterwards."""
        if self._rest is None:
            return []
        units = []
        if self._rest.shape[1]:
            with _one_cpu():
                units = self._fed(self._rest)
        return units + self._units(None)

    def _fed(self, *blocks: Block) -> list[bytes]:
        # The graph that cuts to frames converts and interleaves, too: in passing, and three times as fast as numpy.
        kind = blocks[0].dtype
        form = "fltp" if kind == np.float32 else "s16p"
        frame = av.AudioFrame(form, self._layout, sum(block.shape[1] for block in blocks))
        for plane, *rows in zip(frame.planes, *blocks, strict=True):
            np.concatenate(rows, out=np.frombuffer(plane, kind))
        frame.sample_rate, frame.time_base, frame.pts = self._rate, self._time_base, self._pts
        self._pts += frame.samples
        return self._units(frame)

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

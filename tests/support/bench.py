"""A pool of encodes for the benches' tests, without workers.

Invariant: every step is answered at once with nothing, or with `answers` False never.
It must not encode.
"""

import asyncio

from gateway.config.schema import Transcode
from gateway.encoding.encode import Encode, Sink
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder
from transcode.packet import Encoded, Resume
from transcode.spec import EncoderSpec


class _Owner:
    def __init__(self, pool: "StillPool", sink: Sink) -> None:
        self._pool = pool
        self._sink = sink

    def queue(self, encode: Encode) -> None:
        encode.take()
        if self._pool.answers:
            asyncio.get_running_loop().call_soon(self._sink.encoded, Encoded((), None, 0))

    def leave(self, encode: Encode, *, known: bool) -> None:
        self._pool.closed += 1


class StillPool(EncodingPool):
    """`closed` counts the encodes that have ended."""

    def __init__(self, *, answers: bool = True) -> None:
        super().__init__(Transcode(workers=0), Recorder())
        self.answers = answers
        self.closed = 0

    @property
    def workers(self) -> list[str]:
        return ["pid 4711"]

    def open(self, spec: EncoderSpec, sink: Sink, resume: Resume | None = None) -> Encode:
        return _Again(_Owner(self, sink), 1, spec, sink, resume)


class _Again(Encode):
    """Takes the next step, though the one before was answered behind its back."""

    __slots__ = ()

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        self._unanswered = False
        super().step(data, discontinuity=discontinuity, last=last)

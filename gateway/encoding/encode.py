"""One encode as its owner holds it: takes a step at a time, and tells the sink what came of it.

Invariant: an encode ends once, by its last step, a failure, a loss or a close, and its end is counted once; after a
failure, a loss or a close the sink hears nothing. It has at most one step that is not answered.
It must not know where it is made: a desk takes its steps.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway.errors import ServiceError, WavegateError
from gateway.log import event
from transcode.messages import STEP_MOST, Answer, Failed, Step
from transcode.packet import Encoded, Resume
from transcode.spec import EncoderSpec

logger = logging.getLogger("wavegate.encoding")


class Sink(Protocol):
    """Who hears what an encode makes."""

    def encoded(self, result: Encoded) -> None: ...
    def failed(self, error: WavegateError) -> None: ...
    def lost(self) -> None: ...


class Owner(Protocol):
    """Who has the steps done."""

    def queue(self, encode: "Encode") -> None: ...
    def leave(self, encode: "Encode", *, known: bool) -> None: ...


class Encode:
    """One encode. `number` is its own for as long as its worker lives."""

    __slots__ = ("_known", "_next", "_owner", "_resume", "_sink", "_unanswered", "ended", "number", "spec")

    def __init__(self, owner: Owner, number: int, spec: EncoderSpec, sink: Sink, resume: Resume | None) -> None:
        self.number = number
        self.spec = spec
        self.ended = False
        self._owner = owner
        self._sink: Sink | None = sink  # None when there is nobody to tell anything
        self._resume = resume
        self._next: tuple[bytes, bool, bool] | None = None
        self._unanswered = False
        self._known = False  # to the worker

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        """Has at most STEP_MOST more bytes of the song encoded; `last` tells that nothing follows.

        The sink is answered in a later turn of the loop, and only then may the next step come. Of an encode that has
        ended, even if the sink is yet to hear that it is lost, nothing is encoded.
        """
        if self.ended:
            return
        assert not self._unanswered, "the step before is not answered yet"
        assert len(data) <= STEP_MOST, "a step is a short piece of a song"
        self._unanswered = True
        self._next = data, discontinuity, last
        self._owner.queue(self)

    def close(self) -> None:
        """It is needed no more. The sink hears nothing after this; a second call does nothing."""
        self._sink = None
        self.end(known=self._known)

    def take(self) -> Step:
        """The step, for the worker. The first one tells it what to encode."""
        assert self._next is not None
        (data, discontinuity, last), self._next = self._next, None
        spec, resume = (None, None) if self._known else (self.spec, self._resume)
        self._known = True
        return Step(self.number, data, discontinuity, last, spec, resume)

    def answered(self, answer: Answer, *, last: bool) -> None:
        """What came of the step; after the `last` one, or a failure, the worker has forgotten the encode."""
        self._unanswered = False
        if self.ended:
            return
        if isinstance(answer, Failed):
            event(logger, "codec.encode_failed", codec=self.spec.codec, reason=answer.reason)
            self._fail("transcoding_failed", f"The song cannot be encoded as {self.spec.codec}.", known=False)
            return
        if last:
            self.end()
        if not self._told(lambda sink: sink.encoded(answer.result)):
            self._fail("internal", "Something went wrong while this format was made.", known=True)

    def lost(self) -> None:
        """Its worker has died, and its end is noted. The sink hears it, unless it has closed the encode meanwhile."""
        self._told(lambda sink: sink.lost())
        self._sink = None

    def end(self, *, known: bool = False) -> None:
        """Gives its place back, once. `known` says that the worker must be told to forget it."""
        if not self.ended:
            self.ended = True
            self._next = None
            self._owner.leave(self, known=known)

    def _fail(self, code: str, sentence: str, *, known: bool) -> None:
        self.end(known=known)
        self._told(lambda sink: sink.failed(ServiceError(code, sentence)))
        self._sink = None

    def _told(self, say: Callable[[Sink], None]) -> bool:
        """Whether that went well. One sink's fault must not take the worker's connection down, and all others along."""
        if self._sink is None:
            return True
        try:
            say(self._sink)
        except Exception:
            event(logger, "codec.encode_unheard", exc_info=True, codec=self.spec.codec)
            return False
        return True

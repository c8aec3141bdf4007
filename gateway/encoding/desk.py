"""The encodes of one living worker: how many there are, whose step is next, and which encode an answer belongs to.

Invariant: the worker has at most IN_FLIGHT steps, so that it never waits and nothing piles up in its socket; every
encode has at most one step waiting, first come first served, which between encodes is a round. Answers come in the
order of the steps. What happens here is counted: encodes by their begin and end, steps by their answers.
It must not know what the worker is, a process or a thread.
"""

from collections import OrderedDict, deque
from collections.abc import Callable

from gateway.encoding.encode import Encode, Sink
from metrics.recorder import Recorder
from transcode.messages import Answer, Close, Done, MessageError, Request
from transcode.packet import Resume
from transcode.spec import EncoderSpec

IN_FLIGHT = 2


class Desk:
    """`send` hands a request to the worker, `clock` tells seconds. `since` is when its oldest step came to its head."""

    def __init__(self, send: Callable[[Request], None], recorder: Recorder, clock: Callable[[], float]) -> None:
        self.since: float | None = None
        self._send = send
        self._recorder = recorder
        self._clock = clock
        self._numbers = 0
        self._encodes: dict[int, Encode] = {}
        self._waiting: OrderedDict[int, Encode] = OrderedDict()
        self._running: deque[tuple[Encode, bool]] = deque()  # with whether it is the last step
        self._lost = False

    def __len__(self) -> int:
        return len(self._encodes)

    def open(self, spec: EncoderSpec, sink: Sink, resume: Resume | None) -> Encode:
        """One more encode. Whether there is room is the caller's question."""
        self._numbers += 1
        encode = self._encodes[self._numbers] = Encode(self, self._numbers, spec, sink, resume)
        self._recorder.rendition_started(spec.codec)
        return encode

    def queue(self, encode: Encode) -> None:
        """A step of this encode is to be done."""
        self._waiting[encode.number] = encode
        self._hand_out()

    def leave(self, encode: Encode, *, known: bool) -> None:
        """The encode has ended; a worker that knows it is told to forget it."""
        del self._encodes[encode.number]
        self._waiting.pop(encode.number, None)
        self._recorder.rendition_ended(encode.spec.codec)
        if known and not self._lost:
            self._send(Close(encode.number))

    def answered(self, answer: Answer) -> None:
        """The worker's answer to its oldest step. Raises MessageError when it is none."""
        if not self._running or self._running[0][0].number != answer.number:
            raise MessageError(f"an answer about encode {answer.number}, which is not next")
        encode, last = self._running.popleft()
        self.since = self._clock() if self._running else None
        self._hand_out()  # first of all, so that the worker goes on while listeners are served
        seconds = answer.audio_seconds if isinstance(answer, Done) else 0.0
        self._recorder.transcoded(encode.spec.codec, seconds, answer.cpu_seconds)
        encode.answered(answer, last=last)

    def lose(self) -> None:
        """The worker has died: everybody hears it, once all have given their places back."""
        self._lost = True
        self.since = None
        self._running.clear()
        encodes = list(self._encodes.values())
        for encode in encodes:
            encode.end()
        for encode in encodes:
            encode.lost()

    def _hand_out(self) -> None:
        while self._waiting and len(self._running) < IN_FLIGHT:
            _, encode = self._waiting.popitem(last=False)
            step = encode.take()
            if not self._running:
                self.since = self._clock()
            self._running.append((encode, step.last))
            self._send(step)

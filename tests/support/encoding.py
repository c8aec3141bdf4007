"""Encodings as a test plays them: what is opened and stepped is noted, and answered when the test says so.

Invariant: nothing happens by itself; a byte of the song is a sample, and packets are cut from it on one grid, where an
encode is taken up again, too. It must not know tracks, codecs or workers.
"""

from gateway.errors import ServiceError, WavegateError
from gateway.relay.ports import EncodingSink
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec


class ScriptedEncoding:
    """One encode. `steps` are (data, discontinuity, last); the first `answered` of them are done."""

    def __init__(self, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None) -> None:
        self.spec = spec
        self.sink = sink
        self.resume = resume
        self.steps: list[tuple[bytes, bool, bool]] = []
        self.answered = 0
        self.closed = False
        self._pts = 0 if resume is None else resume.at
        self._early = 0 if resume is None else resume.at - resume.skipped

    def step(self, data: bytes, *, discontinuity: bool = False, last: bool = False) -> None:
        assert not self.closed, "a step of an encode that is closed"
        assert self.answered == len(self.steps), "a step before the last one was answered"
        self.steps.append((data, discontinuity, last))

    def close(self) -> None:
        self.closed = True

    def answer(self, packet: int = 100, *, discontinuity: bool = False, lead: int = 0, rewind: int = 0) -> None:
        """Answers the next step with packets of at most `packet` samples."""
        data, torn, _ = self.steps[self.answered]
        self.answered += 1
        early = min(self._early, len(data))
        self._early -= early
        data, torn = data[early:], torn or discontinuity
        packets = []
        for at in range(0, len(data), packet):
            piece = data[at : at + packet]
            packets.append(Packet(piece, self._pts, len(piece), discontinuity=torn and at == 0))
            self._pts += len(piece)
        self.sink.encoded(Encoded(tuple(packets), CodecConfig(self.spec), lead, rewind))

    def answer_all(self) -> None:
        """Answers until no step is out."""
        while not self.closed and self.answered < len(self.steps):
            self.answer()


class ScriptedEncodings:
    """Where encodes are opened; with `room` at most so many at once."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.opened: list[ScriptedEncoding] = []

    @property
    def open_ones(self) -> list[ScriptedEncoding]:
        """Those that are not closed."""
        return [encoding for encoding in self.opened if not encoding.closed]

    def admit(self) -> None:
        if self.room is not None and len(self.open_ones) >= self.room:
            raise ServiceError("transcoding_full", "No room.", retry_after=2.0)

    def open(self, spec: EncoderSpec, sink: EncodingSink, resume: Resume | None = None) -> ScriptedEncoding:
        self.admit()
        self.opened.append(ScriptedEncoding(spec, sink, resume))
        return self.opened[-1]

    def fail(self, error: WavegateError) -> None:
        """The codecs of all that are open fail."""
        for encoding in self.open_ones:
            encoding.closed = True
            encoding.sink.failed(error)

    def kill(self) -> None:
        """Whoever made those that are open has died."""
        for encoding in self.open_ones:
            encoding.closed = True
            encoding.sink.lost()

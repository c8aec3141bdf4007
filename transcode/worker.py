"""A worker process: many encodes at once, one step at a time, told and heard on the socket that is its standard input.

Started as `python -m transcode.worker [CPU]`; it pins itself to that processor, warms up, and serves until the socket
closes, whoever closed it: a gateway that was killed leaves no worker behind.
Invariant: whatever happens in one encode is that encode's failure; the process and the others go on. Steps are
answered in their order. It must not know what the packets are for, nor who listens.
"""

import faulthandler
import math
import os
import signal
import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from transcode.errors import TranscodeError
from transcode.formats import FORMATS, MP3, PCM, StreamFormat
from transcode.messages import REQUESTS, Close, Done, Failed, MessageError, Ready, Step, Unpacker, pack
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec, Wish, resolve
from transcode.transcoder import Transcoder

# Seconds after which a step ends the process. The gateway has given it up long before; this is for when there is none.
STEP_SECONDS = 120
_READ = 1 << 18
NICE = 10
_REASON_MOST = 300  # characters


class Coder(Protocol):
    """What a bench needs of a Transcoder."""

    @property
    def config(self) -> CodecConfig | None: ...
    @property
    def lead(self) -> int: ...
    @property
    def rewind(self) -> int: ...
    def feed(self, data: bytes, *, discontinuity: bool = False) -> list[Packet]: ...
    def flush(self) -> list[Packet]: ...
    def close(self) -> None: ...


Make = Callable[[EncoderSpec, Resume | None], Coder]


def _transcoder(spec: EncoderSpec, resume: Resume | None) -> Coder:
    return Transcoder(spec, resume=resume)


class Bench:
    """The encodes of one worker by their numbers. It belongs to one thread: a codec context has no lock."""

    def __init__(self, make: Make = _transcoder) -> None:
        self._make = make
        self._coders: dict[int, tuple[Coder, int]] = {}  # with the sample rate

    def __len__(self) -> int:
        return len(self._coders)

    def answer(self, step: Step) -> Done | Failed:
        """Does a step. An encode that fails, or has made its last, is closed."""
        # Of this thread: in a worker there is no other, in a gateway the loop's is no part of the cost.
        begin = time.thread_time()
        try:
            if step.spec is not None:
                self._coders[step.number] = self._make(step.spec, step.resume), step.spec.sample_rate
            coder, rate = self._coders[step.number]
            packets = coder.feed(step.data, discontinuity=step.discontinuity)
            if step.last:
                packets += coder.flush()
            result = Encoded(tuple(packets), coder.config, coder.lead, coder.rewind)
        except Exception as error:  # whatever a codec raises is about this song alone
            self.close(step.number)
            return Failed(step.number, _reason(error), time.thread_time() - begin)
        if step.last:
            self.close(step.number)
        seconds = sum(packet.duration for packet in packets) / rate
        return Done(step.number, result, seconds, time.thread_time() - begin)

    def close(self, number: int) -> None:
        """Forgets an encode; one that is not there is forgotten already."""
        coder, _ = self._coders.pop(number, (None, 0))
        if coder is not None:
            with suppress(Exception):  # it is given up anyhow, and the others go on
                coder.close()


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, TranscodeError) else f"{type(error).__name__}: "
    return f"{kind}{error}"[:_REASON_MOST]


def warm_up(make: Make = _transcoder) -> None:
    """Decodes and encodes a little with every codec: the first time costs up to 18 ms, which no listener shall wait."""
    rate, channels = 44100, 2
    tone = array("h", (int(8000 * math.sin(n // channels / 16)) for n in range(rate * channels // 4)))
    if sys.byteorder == "big":
        tone.byteswap()
    sound = tone.tobytes()
    riff = struct.pack("<4sI4s", b"RIFF", 36 + len(sound), b"WAVE")
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 4, 4, 16)
    song = riff + head + struct.pack("<4sI", b"data", len(sound)) + sound
    # From WAV to mp3, and from there to everything, so that both decoders are warm, too.
    song = b"".join(packet.data for packet in _whole(make, resolve(MP3, Wish(), _form(rate, channels)), song))
    specs = {resolve(form, Wish(), _form(rate, channels)) for form in FORMATS.values()}
    specs.add(resolve(PCM, Wish(sample_rate=24000, channels=1, loudness=-16.0), _form(rate, channels)))
    # Twice: large memory that is freed for the first time goes back to the system, and is kept from then on. Without it
    # the first FLAC would wait 5 ms for its 7 MB.
    for spec in [*specs, *specs]:
        _whole(make, spec, song)


def _form(rate: int, channels: int) -> StreamFormat:
    return StreamFormat(MP3, rate, channels, 128_000)


def _whole(make: Make, spec: EncoderSpec, song: bytes) -> list[Packet]:
    coder = make(spec, None)
    try:
        return coder.feed(song) + coder.flush()
    finally:
        coder.close()


def serve(wire: socket.socket, bench: Bench, alarm: Callable[[int], object] = signal.alarm) -> None:
    """Says Ready and answers steps until the other side has closed. `alarm` ends the process after so many seconds."""
    unpacker = Unpacker(REQUESTS)
    buffer = bytearray(_READ)
    view = memoryview(buffer)
    wire.sendall(pack(Ready()))
    while size := wire.recv_into(buffer):
        for request in unpacker.feed(view[:size]):
            if isinstance(request, Close):
                bench.close(request.number)
                continue
            alarm(STEP_SECONDS)
            answer = _packed(bench, bench.answer(request))
            alarm(0)
            wire.sendall(answer)


def _packed(bench: Bench, answer: Done | Failed) -> bytearray:
    try:
        return pack(answer)
    except MessageError as error:
        bench.close(answer.number)
        return pack(Failed(answer.number, f"one step made too much: {error}", answer.cpu_seconds))


def main(make: Make = _transcoder) -> None:
    """The process, from its start until the gateway has gone."""
    # A signal that goes to the whole group, or to everything in a service, is the gateway's affair: it drains first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable()
    _settle()
    warm_up(make)
    with suppress(OSError), socket.socket(fileno=sys.stdin.fileno()) as wire:
        serve(wire, Bench(make))


def _settle() -> None:
    """On the processor that was told, where the system can; one that was taken from us meanwhile does not matter."""
    if len(sys.argv) > 1 and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, {int(sys.argv[1])})
    if hasattr(os, "SCHED_BATCH"):
        # A worker that wakes up displaces nobody: with 32 encodes on two processors 99 of 100 timers of the loop fire
        # within 0.9 ms, instead of 2.1.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # The relay comes first: a song is made faster than it is heard. In a session of its own a process competes as a
    # group, and what counts is the group's niceness; another session's is none of our business.
    with suppress(OSError):
        os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(NICE))


if __name__ == "__main__":
    main()

"""A worker without codecs, which can be told to fail, to crash and to hang, and sinks and pools to try workers with.

Invariant: what a parrot makes of some bytes depends on them and on what it was fed before, so that a mixed-up answer
is seen. Run as a program it is a worker process like the real one, with parrots for codecs.
It must not know how pools and desks work inside.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any

import pytest

from gateway.encoding.encode import Encode
from gateway.encoding.keeper import Make
from gateway.encoding.process import WorkerProcess
from gateway.encoding.threads import WorkerThread
from gateway.errors import WavegateError
from metrics.recorder import Recorder
from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec
from transcode.worker import Bench, main

SPEC = EncoderSpec("opus", 48000, 2, 96000)
PCM = EncoderSpec("pcm", 44100, 2, None)
WITHIN = 45.0  # seconds; a process needs its time on a busy machine, where workers stand back for everybody else


class Parrot:
    """A Transcoder in appearance: says what it hears, numbered. Knows its config with the first packet only.

    It fails at `fail`, has a fault at `bug`, makes too much at `big`, ends the process at `crash`, and at `hang` does
    nothing until `free` is set.
    """

    free = threading.Event()

    def __init__(self, spec: EncoderSpec, resume: Resume | None) -> None:
        if spec.channels > 2:
            raise EncodeError("two ears")
        self.config: CodecConfig | None = None
        self.lead = 3
        self.rewind = 5
        self.closed = 0
        self._spec = spec
        self._pts = 0 if resume is None else resume.at

    def feed(self, data: bytes, *, discontinuity: bool = False) -> list[Packet]:
        if data == b"fail":
            raise EncodeError("it does not sing")
        if data == b"bug":
            raise ValueError("x" * 1000)
        if data == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if data == b"hang":
            self.free.wait(WITHIN)
        if not data:
            return []
        self.config = CodecConfig(self._spec, 312, b"head")
        self._pts += 960
        made = bytes(17 << 20) if data == b"big" else b"%d:%s" % (self._pts, data)
        return [Packet(made, self._pts, 960, discontinuity=discontinuity)]

    def flush(self) -> list[Packet]:
        return [Packet(b"%d:end" % self._pts, self._pts + 960, 960, padding=10)]

    def close(self) -> None:
        self.closed += 1


class Heard:
    """A sink that notes what it is told, and with `song` takes the next step by itself."""

    def __init__(self, song: list[bytes] | None = None) -> None:
        self.results: list[Encoded] = []
        self.errors: list[WavegateError] = []
        self.losses = 0
        self.encode: Encode | None = None
        self.fault: Exception | None = None
        self._song = song or []
        self._news = asyncio.Event()

    @property
    def data(self) -> bytes:
        """What all packets hold."""
        return b"".join(packet.data for result in self.results for packet in result.packets)

    @property
    def said(self) -> int:
        """How often it was told something."""
        return len(self.results) + len(self.errors) + self.losses

    def encoded(self, result: Encoded) -> None:
        self.results.append(result)
        self._news.set()
        self.go_on()
        if self.fault is not None:
            raise self.fault

    def failed(self, error: WavegateError) -> None:
        self.errors.append(error)
        self._news.set()

    def lost(self) -> None:
        self.losses += 1
        self._news.set()

    def go_on(self) -> None:
        """The next step of the song, the last one marked."""
        if self._song and self.encode is not None:
            data = self._song.pop(0)
            self.encode.step(data, last=not self._song)

    async def until(self, said: int) -> None:
        """Waits until it was told so many things."""
        async with asyncio.timeout(WITHIN):
            while self.said < said:
                self._news.clear()
                await self._news.wait()


class Journal(logging.Handler):
    """What the encoding's log says from here on, as `events` does, and something to wait by."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self._news = asyncio.Event()
        self._logger = logging.getLogger("wavegate.encoding")

    def __enter__(self) -> "Journal":
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.getMessage())
        self._news.set()

    async def until(self, name: str) -> None:
        """Waits until this has happened."""
        async with asyncio.timeout(WITHIN):
            while name not in self.events:
                self._news.clear()
                await self._news.wait()


def parrot_bench() -> Bench:
    """What a thread of parrots works at."""
    return Bench(Parrot)


def parrot_process(*command: str) -> Make:
    """Processes of parrots; with `command`, whatever that is."""
    line = command or (sys.executable, "-P", "-m", "tests.support.parrots")
    return lambda answered, lost: WorkerProcess(line, answered, lost)


def parrot_thread(prepare: Any = parrot_bench) -> Make:
    """Threads of parrots."""
    return lambda answered, lost: WorkerThread(prepare, answered, lost)


def active(recorder: Recorder, codec: str = "opus") -> float | None:
    """How many encodes are counted as being made; None before the first."""
    return recorder.registry.get_sample_value("wavegate_renditions_active", {"codec": codec})


def spent(recorder: Recorder, kind: str, codec: str = "opus") -> float | None:
    """Seconds of `audio` or `cpu` that were counted."""
    return recorder.registry.get_sample_value(f"wavegate_transcode_{kind}_seconds_total", {"codec": codec})


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the encoding's log says, in order."""
    return [record.getMessage() for record in caplog.records if record.name == "wavegate.encoding"]


if __name__ == "__main__":
    main(Parrot)

"""A worker: steps are answered in order, an encode's failure is its own, and the process outlives nobody it serves.

Invariant under test: whatever an encoder raises, the answer comes and the others go on; when the socket closes, the
process ends. What real codecs make in it is tested where they are, and through both doors in tests/contract.
"""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.support.parrots import SPEC, WITHIN, Parrot
from transcode import worker
from transcode.messages import REPLIES, Answer, Close, Done, Failed, Ready, Reply, Request, Step, Unpacker, pack
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec
from transcode.worker import Bench, serve, warm_up


def test_a_step_is_answered_with_what_it_made() -> None:
    """Packets, the config once it is known, the lead, and how long the sound is; the processor's time is counted."""
    bench = Bench(Parrot)
    nothing = bench.answer(Step(1, b"", spec=SPEC))
    assert isinstance(nothing, Done)
    assert (nothing.result, nothing.audio_seconds) == (Encoded((), None, 3, 5), 0.0)
    done = bench.answer(Step(1, b"a", discontinuity=True))
    assert isinstance(done, Done)
    packets = (Packet(b"960:a", 960, 960, discontinuity=True),)
    assert done.result == Encoded(packets, CodecConfig(SPEC, 312, b"head"), 3, 5)
    assert (done.number, done.audio_seconds) == (1, 0.02)
    assert 0.0 <= done.cpu_seconds < 1.0


def test_encodes_do_not_meet() -> None:
    """Each number is an encode of its own; one that is taken up again begins where it broke off."""
    bench = Bench(Parrot)
    bench.answer(Step(1, b"a", spec=SPEC))
    other = bench.answer(Step(2, b"b", spec=SPEC, resume=Resume(9600, 0, 3)))
    again = bench.answer(Step(1, b"c"))
    assert isinstance(other, Done)
    assert isinstance(again, Done)
    assert [packet.data for packet in other.result.packets + again.result.packets] == [b"10560:b", b"1920:c"]
    assert len(bench) == 2


def test_the_last_step_gives_the_rest_and_closes() -> None:
    """What follows is answered as a failure, not with an exception."""
    bench = Bench(Parrot)
    done = bench.answer(Step(1, b"a", last=True, spec=SPEC))
    assert isinstance(done, Done)
    assert [packet.data for packet in done.result.packets] == [b"960:a", b"960:end"]
    assert len(bench) == 0
    assert isinstance(bench.answer(Step(1, b"b")), Failed)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(1, b"fail", spec=SPEC), "it does not sing"),
        (Step(1, b"bug", spec=SPEC), "ValueError: xxx"),
        (Step(1, b"a", spec=EncoderSpec("opus", 48000, 3, None)), "two ears"),
        (Step(1, b"a"), "KeyError: 1"),
    ],
)
def test_a_failure_is_that_encodes_own(step: Step, reason: str) -> None:
    """The reason is a sentence or an exception's name, of bounded length; the encode is gone, the other goes on."""
    bench = Bench(Parrot)
    bench.answer(Step(2, b"a", spec=SPEC))
    failed = bench.answer(step)
    assert isinstance(failed, Failed)
    assert failed.reason.startswith(reason)
    assert len(failed.reason) <= 300
    assert len(bench) == 1
    assert isinstance(bench.answer(Step(2, b"b")), Done)


def test_an_encoder_that_fails_to_close_is_forgotten_too() -> None:
    """It is closed once, and a second close finds nothing."""

    class Clinging(Parrot):
        def close(self) -> None:
            super().close()
            raise ValueError

    made: list[Clinging] = []

    def make(spec: EncoderSpec, resume: Resume | None) -> Clinging:
        made.append(Clinging(spec, resume))
        return made[-1]

    bench = Bench(make)
    bench.answer(Step(1, b"a", spec=SPEC))
    bench.close(1)
    bench.close(1)
    assert (len(bench), made[0].closed) == (0, 1)


def test_warming_up_uses_and_closes_every_codec() -> None:
    """From WAV to mp3 first, and then from mp3 to all."""
    made: list[Parrot] = []
    codecs: list[str] = []

    def make(spec: EncoderSpec, resume: Resume | None) -> Parrot:
        made.append(Parrot(spec, resume))
        codecs.append(spec.codec)
        return made[-1]

    warm_up(make)
    assert codecs[0] == "mp3"
    assert set(codecs) == {"mp3", "pcm", "opus", "aac", "flac"}
    assert codecs.count("flac") == 2  # what the first one freed is the system's again
    assert all(parrot.closed == 1 for parrot in made)


# -- on a socket -----------------------------------------------------------------------------------------------------


class Line:
    """The gateway's end of a socket to a worker, blocking, each wait bounded."""

    def __init__(self, ours: socket.socket) -> None:
        ours.settimeout(WITHIN)
        self.socket = ours
        self._unpacker = Unpacker(REPLIES)
        self._heard: list[Reply] = []

    def say(self, *requests: Request) -> None:
        self.socket.sendall(b"".join(map(pack, requests)))

    def hear(self) -> Reply:
        while not self._heard:
            data = self.socket.recv(1 << 20)
            assert data, "the worker has hung up"
            self._heard += self._unpacker.feed(data)
        return self._heard.pop(0)

    def answer(self) -> Answer:
        reply = self.hear()
        assert not isinstance(reply, Ready)
        return reply


def test_serving_ends_with_the_socket() -> None:
    """Ready first, then an answer for every step in order, none for a close; every step has its alarm."""
    ours, theirs = socket.socketpair()
    alarms: list[int] = []
    thread = threading.Thread(target=serve, args=(theirs, Bench(Parrot), alarms.append))
    thread.start()
    with ours, theirs:
        line = Line(ours)
        assert line.hear() == Ready()
        line.say(
            Step(1, b"a", spec=SPEC), Step(2, b"fail", spec=SPEC), Close(1), Step(1, b"b"), Step(3, b"", spec=SPEC)
        )
        answers = [line.answer() for _ in range(4)]
        assert [(type(answer), answer.number) for answer in answers] == [(Done, 1), (Failed, 2), (Failed, 1), (Done, 3)]
        assert alarms == [worker.STEP_SECONDS, 0] * 4
        ours.shutdown(socket.SHUT_WR)
        thread.join(WITHIN)
        assert not thread.is_alive()


def test_too_much_at_once_is_a_failure() -> None:
    """What does not fit into a message ends that encode alone."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs, Bench(Parrot), lambda _: None))
    thread.start()
    with ours, theirs:
        line = Line(ours)
        line.say(Step(1, b"big", spec=SPEC), Step(1, b"a"))
        assert line.hear() == Ready()
        failed = line.answer()
        assert isinstance(failed, Failed)
        assert "too much" in failed.reason
        assert isinstance(line.answer(), Failed)
        ours.shutdown(socket.SHUT_WR)
        thread.join(WITHIN)


# -- as a process ----------------------------------------------------------------------------------------------------

Start = Callable[..., tuple["subprocess.Popen[bytes]", Line]]
ONE = str(min(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else "0"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker with parrots; what is left of it is killed."""
    started: list[tuple[subprocess.Popen[bytes], Line]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[bytes], Line]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.support.parrots", *arguments]
            process = subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE)
        started.append((process, Line(ours)))
        return started[-1]

    yield begin
    for process, line in started:
        line.socket.close()
        process.kill()
        process.communicate(timeout=WITHIN)


def test_a_process_ends_when_the_socket_does(start: Start) -> None:
    """Without a word and with exit code 0; it was pinned to the processor that it was told."""
    process, line = start(ONE)
    assert line.hear() == Ready()
    if hasattr(os, "sched_getaffinity"):
        assert os.sched_getaffinity(process.pid) == {int(ONE)}
    line.socket.close()
    assert process.wait(WITHIN) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_signals_to_the_group_do_not_end_it(start: Start) -> None:
    """Neither Ctrl-C nor a service manager's SIGTERM; a processor that is not there does not matter either."""
    process, line = start("100000")
    assert line.hear() == Ready()
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    line.say(Step(1, b"a", spec=SPEC))
    assert isinstance(line.answer(), Done)


def test_what_is_no_message_ends_it(start: Start) -> None:
    """The gateway and the worker are one version; anything else is a fault that shall be seen."""
    process, line = start()
    assert line.hear() == Ready()
    line.socket.sendall(b"\xff\xff\xff\xff")
    assert process.wait(WITHIN) == 1


ORPHAN = """
import asyncio, sys
from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder
from tests.support.parrots import SPEC, Heard, parrot_process

async def gateway():
    async with EncodingPool(Transcode(workers=2), Recorder(), make=parrot_process()) as pool:
        pool.open(SPEC, Heard()).step(b"a")
        print("workers", *pool.workers, flush=True)
        await asyncio.sleep(60)

if sys.argv[1] == "asyncio":
    asyncio.run(gateway())
else:
    import uvloop
    uvloop.run(gateway())
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="whether a stranger's process has ended is hard to tell")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_no_orphan_is_left(loop: str, process: Callable[..., object]) -> None:
    """A gateway that is killed cannot end its workers; they end by themselves."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    gateway = await process(sys.executable, "-c", ORPHAN, loop)
    found = await gateway.says(r"^workers pid (\d+) pid (\d+)$")
    watches = [os.pidfd_open(int(pid)) for pid in found.groups()]
    try:
        gateway.send(signal.SIGKILL)
        for watch in watches:
            ended, _, _ = await asyncio.to_thread(select.select, [watch], [], [], WITHIN)
            assert ended, "a worker is left"
    finally:
        for watch in watches:
            with suppress(OSError):
                os.close(watch)

"""The flight recorder.

Invariant tested: what came is read back as it came, secrets are not, and trouble with the disk reaches nobody.
It must not know the provider.
"""

import asyncio
import errno
import json
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.config.secret import Secret
from gateway.model import Mode, SongInput, SongRequest, SpeechInput, SpeechRequest
from gateway.upstream import flight as module
from gateway.upstream.flight import Flight, FlightRecorder
from gateway.upstream.logbook import Logbook, Page
from gateway.upstream.mask import Mask
from gateway.upstream.recording import Piece, Recording, read_flight
from tests.support.wire import stop_payload

SONG = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="slow rain on a roof", gender="male"))
HEADERS = {
    "Content-Type": "text/event-stream",
    "X-Request-Id": "abc-123",
    "Set-Cookie": "acw_tc=secret",
    "Authorization": "Bearer secret",
    "X-DashScope-Timeout": "298",
}
NOW = 1778051289.123


class Clock:
    def __init__(self) -> None:
        self.now = 70.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


@asynccontextmanager
async def recording(directory: Path, **options: Any) -> AsyncIterator[FlightRecorder]:
    """A recorder at a fixed time, which is closed, and has written what it will, at the end."""
    recorder = FlightRecorder(directory, now=lambda: NOW, clock=Clock(), **options)
    try:
        yield recorder
    finally:
        await recorder.close()


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.exists() else []


async def read(path: Path) -> Recording:
    return await asyncio.to_thread(read_flight, path)


async def settled(recorder: FlightRecorder) -> None:
    """Waits until the writer has done all that it was given so far."""
    done = threading.Event()
    marker = Flight(recorder, "marker", Clock(), Mask())
    marker.page = cast("Page", SimpleNamespace(discard=done.set))
    recorder.give_up(marker)
    assert await asyncio.to_thread(done.wait, 10)


def fly(recorder: FlightRecorder, *pieces: bytes, error: str | None = None, request_id: str = "abc-123") -> Flight:
    flight = recorder.start(SONG)
    flight.answered(200, HEADERS | {"X-Request-Id": request_id})
    for piece in pieces:
        flight.received(piece)
    flight.ended(error)
    return flight


async def test_a_generation_is_read_back(tmp_path: Path) -> None:
    """Its time, its request, when and what the provider said, and how it ended."""
    async with recording(tmp_path) as recorder:
        fly(recorder, b"one", b"two", error="upstream_busy")
    (path,) = files(tmp_path)
    assert path.name == "20260506T070809.123Z-abc-123.flight.jsonl"
    found = await read(path)
    assert (found.time, found.model, found.mode) == ("2026-05-06T07:08:09.123Z", "fun-music-v1", "stream")
    assert found.request["input"]["gender"] == "male"
    assert (found.answer.at, found.answer.status) == (0.25, 200)
    assert found.pieces == (Piece(0.5, b"one"), Piece(0.75, b"two"))
    assert (found.ended_at, found.error_code) == (1.0, "upstream_busy")


async def test_a_known_key_is_written_nowhere(tmp_path: Path) -> None:
    """Not in the bytes, nor in a header, nor in the file's name, which is then what it is without a provider's."""
    key = "plain-key-5f0c88d1e2"
    async with recording(tmp_path, known=lambda: [Secret(key)]) as recorder:
        fly(recorder, f"Incorrect key {key}".encode(), request_id=f"r-{key}")
    (path,) = files(tmp_path)
    assert re.fullmatch(r"20260506T070809\.123Z-\d+-1\.flight\.jsonl", path.name)
    found = await read(path)
    assert found.answer.headers["x-request-id"] == "r-***"
    assert found.pieces == (Piece(0.5, b"Incorrect key " + b"0" * len(key)),)
    assert key.encode() not in path.read_bytes()


async def test_no_secret_is_written(tmp_path: Path) -> None:
    """Neither of the headers nor of the bytes, however they were sliced; prompts are hashes."""
    stop = stop_payload(
        request_id="r", expires_at=1, url="http://h/a?Signature=s3cr3t", channels=2, sample_rate=48000, lyrics="la la",
        duration=3,
    )  # fmt: skip
    async with recording(tmp_path) as recorder:
        fly(recorder, *(stop[at : at + 1] for at in range(len(stop))))
    (path,) = files(tmp_path)
    found = await read(path)
    assert found.answer.headers == {
        "content-type": "text/event-stream",
        "x-request-id": "abc-123",
        "x-dashscope-timeout": "298",
    }
    body = b"".join(piece.data for piece in found.pieces)
    assert len(body) == len(stop)
    assert json.loads(body)["output"]["audio"]["url"] == "http://h/a?" + 16 * "0"
    assert found.request["input"]["prompt"] == "sha256:" + sha256(b"slow rain on a roof").hexdigest()
    for secret in (b"s3cr3t", b"la la", b"secret", b"rain"):
        assert secret not in body + path.read_bytes()


async def test_a_spoken_text_is_no_more_kept_than_a_prompt(tmp_path: Path) -> None:
    """Its hash stands in the request."""
    async with recording(tmp_path) as recorder:
        said = SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, SpeechInput("Open sesame", "longanyang"))
        flight = recorder.start(said)
        flight.answered(200, HEADERS)
        flight.ended(None)
    (path,) = files(tmp_path)
    found = await read(path)
    assert found.request["input"]["text"] == "sha256:" + sha256(b"Open sesame").hexdigest()
    assert b"sesame" not in path.read_bytes()


async def test_words_are_kept_on_demand(tmp_path: Path) -> None:
    """The prompt and the lyrics then stand there as they are."""
    async with recording(tmp_path, keep_words=True) as recorder:
        fly(recorder, b'{"lyrics":"la la"}')
    found = await read(files(tmp_path)[0])
    assert found.request["input"]["prompt"] == "slow rain on a roof"
    assert found.pieces[0].data == b'{"lyrics":"la la"}'


async def test_many_at_once(tmp_path: Path) -> None:
    """Each into a file of its own, with a name of ours where the provider gives none; strange ones do no harm."""
    async with recording(tmp_path) as recorder:
        flights = [recorder.start(SONG) for _ in range(3)]
        for number, flight in enumerate(flights):
            flight.answered(200, {"X-Request-Id": ("", "../..\u00e9/a_b\udcff", "x" * 200)[number]})
            flight.received(b"%d" % number)
        for flight in flights:
            flight.ended(None)
    found = {path.name.removeprefix("20260506T070809.123Z-"): await read(path) for path in files(tmp_path)}
    assert {name: [piece.data for piece in one.pieces] for name, one in found.items()} == {
        f"{os.getpid()}-1.flight.jsonl": [b"0"],
        "a_b.flight.jsonl": [b"1"],
        f"{'x' * 64}.flight.jsonl": [b"2"],
    }


async def test_after_the_end_nothing_is_recorded(tmp_path: Path) -> None:
    """Late calls are no mistake and change nothing."""
    async with recording(tmp_path) as recorder:
        flight = fly(recorder, b"one")
        flight.received(b"late")
        flight.ended("upstream_failed")
    assert (await read(files(tmp_path)[0])).error_code is None


async def test_without_an_answer_there_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that was not reached leaves nothing to fly again, and that is no trouble to tell of."""
    async with recording(tmp_path) as recorder:
        recorder.start(SONG).ended("upstream_unavailable")
        await settled(recorder)
        assert files(tmp_path) == []
    assert caplog.records == []


async def test_what_has_not_ended_is_lost(tmp_path: Path) -> None:
    """Closing gives it up; what is started or said after that is ignored."""
    async with recording(tmp_path) as recorder:
        flight = recorder.start(SONG)
        flight.received(b"one")
    flight.received(b"two")
    flight.ended(None)
    fly(recorder, b"three")
    assert recorder._jobs.empty()
    assert files(tmp_path) == []
    await FlightRecorder(tmp_path).close()


async def test_the_directory_is_bounded(tmp_path: Path) -> None:
    """Old recordings make room for new ones."""
    async with recording(tmp_path, max_bytes=10000) as recorder:
        for number in range(10):
            fly(recorder, bytes(2000), request_id=f"r{number}")
    names = [path.name.partition("-")[2] for path in files(tmp_path)]
    assert names == ["r7.flight.jsonl", "r8.flight.jsonl", "r9.flight.jsonl"]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that takes nothing until the event is set."""
    free = threading.Event()
    opened = Logbook.open

    def wait(self: Logbook, name: str) -> Page:
        assert free.wait(20)
        return opened(self, name)

    monkeypatch.setattr(Logbook, "open", wait)
    yield free
    free.set()


async def test_a_slow_disk_costs_recordings_and_nothing_else(
    tmp_path: Path, stuck: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits is bounded, what is beyond is dropped whole, and the log says it once."""
    async with recording(tmp_path, max_waiting_bytes=10000) as recorder:
        with caplog.at_level(logging.WARNING, "wavegate.upstream"):
            first = fly(recorder, b"first", request_id="first")
            flights = [fly(recorder, bytes(4000), bytes(4000), request_id=f"r{number}") for number in range(50)]
        assert not first.dropped
        assert all(flight.dropped for flight in flights)
        assert recorder._jobs.qsize() < 30
        stuck.set()
    assert [path.name.partition("-")[2] for path in files(tmp_path)] == ["first.flight.jsonl"]
    (record,) = caplog.records
    assert record.message == "upstream.recording_dropped"
    assert record.fields["reason"] == "the disk is too slow"  # type: ignore[attr-defined]  # what the log adds to a record


async def test_a_recording_that_grows_too_fast_is_removed(tmp_path: Path) -> None:
    """What was written of it already goes, too."""
    async with recording(tmp_path, max_waiting_bytes=100_000) as recorder:
        flight = recorder.start(SONG)
        flight.answered(200, HEADERS)
        await settled(recorder)
        assert len(files(tmp_path)) == 1
        flight.received(bytes(200_000))
        assert flight.dropped
        await settled(recorder)
        assert files(tmp_path) == []
        fly(recorder, b"next", request_id="next")
    assert [path.name.partition("-")[2] for path in files(tmp_path)] == ["next.flight.jsonl"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (RuntimeError("x"), "RuntimeError"),
    ],
)
async def test_a_full_disk_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception, reason: str
) -> None:
    """Recordings are dropped while it lasts; after one that is whole, the next trouble is said again."""
    full = True
    written = Page.write

    def write(self: Page, line: bytes) -> None:
        if full and b"data" in line:
            raise failure
        written(self, line)

    monkeypatch.setattr(Page, "write", write)
    with caplog.at_level(logging.WARNING, "wavegate.upstream"):
        async with recording(tmp_path) as recorder:
            for trouble in (True, True, False, True):
                full = trouble
                fly(recorder, b"one", request_id=f"full-{trouble}")
                await settled(recorder)
    assert [path.name.partition("-")[2] for path in files(tmp_path)] == ["full-False.flight.jsonl"]
    reasons = [record.fields["reason"] for record in caplog.records]  # type: ignore[attr-defined]  # as above
    assert reasons == [reason, reason]


async def test_a_directory_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file in its place is trouble like any other."""
    (tmp_path / "file").write_text("x")
    async with recording(tmp_path / "file") as recorder:
        fly(recorder, b"one")
    assert [record.message for record in caplog.records] == ["upstream.recording_dropped"]


async def test_closing_does_not_wait_for_ever(
    tmp_path: Path, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs holds nobody up."""
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.01)
    recorder = FlightRecorder(tmp_path)
    fly(recorder, b"one")
    async with asyncio.timeout(5):
        await recorder.close()
    assert files(tmp_path) == []


async def test_no_thread_to_write_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The generation goes on without a recording, and the next one is recorded if it can be."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with recording(tmp_path) as recorder:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            assert fly(recorder, b"one").dropped
        fly(recorder, b"two")
    assert len(files(tmp_path)) == 1
    assert [record.message for record in caplog.records] == ["upstream.recording_dropped"]

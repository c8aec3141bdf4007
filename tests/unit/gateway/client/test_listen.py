"""`wavegate listen`, whole: what is written, what is said, and with which code it ends.

Invariant under test: the exit code and the last words agree, what was heard is kept, and nothing is paid for before the
wishes have been checked. The other side is a scripted gateway on a real socket.
"""

import asyncio
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.client.listen import listen
from gateway.client.output import Output
from gateway.protocol import events

WITHIN = 10.0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def run(stand_in: Any, err: io.StringIO, **options: Any) -> int:
    async with asyncio.timeout(WITHIN):
        return await listen(options.pop("server", None) or stand_in.url, options.pop("key", "k"), err=err, **options)


async def sing(talk: Any) -> None:
    """A whole song, ordered or joined."""
    if (await talk.hello())["type"] == "stream.create":
        await talk.created()
    await talk.started()
    await talk.frames(*range(10))
    await talk.completed()


async def test_a_song_is_ordered_and_kept(stand_in: Any, here: Path) -> None:
    """The file has the song's name and bytes, and the last words say how long it is and that it is verified."""
    stand_in.script(sing)
    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain") == 0
    path = here / "song-stream-1.mp3"
    assert await asyncio.to_thread(path.read_bytes) == b"".join(stand_in.payloads)
    assert "song-stream-1.mp3 · 0:01 · 4 kB · sha256 verified" in err.getvalue()
    assert "Play it" in err.getvalue()


async def test_a_text_is_said_by_whoever_is_asked(stand_in: Any, here: Path) -> None:
    """Model and voice as given; without them the ones that every gateway has."""
    orders = []

    async def say(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created()
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed()

    for wishes in ({}, {"voice": "Cherry", "model": "qwen3-tts-flash", "idempotency_key": "order-1"}):
        stand_in.script(say)
        assert await run(stand_in, io.StringIO(), text="The gates open.", **wishes) == 0
    told = [(order["model"], order["input"]["text"], order["input"]["voice"]) for order in orders]
    assert told == [
        ("cosyvoice-v3-flash", "The gates open.", "longanyang"),
        ("qwen3-tts-flash", "The gates open.", "Cherry"),
    ]
    assert orders[1]["idempotency_key"] == "order-1"


async def test_a_song_is_joined_where_its_listener_wants(stand_in: Any, here: Path) -> None:
    """The place is passed on."""
    heard = []

    @stand_in.script
    async def _(talk: Any) -> None:
        heard.append(await talk.hello())
        await talk.started(5)
        await talk.frames(*range(5, 10))
        await talk.completed()

    assert await run(stand_in, io.StringIO(), stream_id="stream-1", since=12.5) == 0
    assert heard[0]["since"]["seconds_ago"] == 12.5


async def test_the_sound_is_measured_where_there_is_a_picture(
    stand_in: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every payload in order, on a terminal; elsewhere nothing is decoded for nobody."""
    monkeypatch.setenv("TERM", "xterm")
    measured: list[bytes] = []

    class Measure:
        def feed(self, payload: bytes) -> list[Any]:
            measured.append(payload)
            return []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for err in (io.StringIO(), Terminal()):
        stand_in.script(sing)
        assert measured == []
        assert await run(stand_in, err, prompt="rain", measuring=lambda *form: Measure()) == 0
    assert measured == stand_in.payloads


async def test_an_interruption_is_a_line_in_a_log(stand_in: Any, here: Path) -> None:
    """What happened and when it goes on, and the song is whole."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.close(1012, "going_away;retry_after_ms=10")

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain") == 0
    assert err.getvalue().splitlines()[0] == "stream-1: The gateway is restarting. Again in 0.0 s."


async def test_a_polite_end_is_as_good_as_ctrl_c(stand_in: Any, here: Path) -> None:
    """SIGTERM ends it in words and with the file whole, and is nobody's any more afterwards."""
    before = signal.getsignal(signal.SIGTERM)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(*range(3))
        os.kill(os.getpid(), signal.SIGTERM)

    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain") == 1
    assert err.getvalue().splitlines()[0] == "Stopped."
    assert signal.getsignal(signal.SIGTERM) == before


async def test_bare_samples_come_with_what_they_are(stand_in: Any, here: Path) -> None:
    """Nothing in a file of them tells, so the hint does."""

    async def sing_bare(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.started(form=events.FormatInfo("pcm", "audio/L16", 24000, 1, None))
        await talk.frames(*range(10))
        await talk.completed()

    stand_in.script(sing_bare)
    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain", format="pcm") == 0
    assert "-f s16le -ar 24000 -ch_layout mono" in err.getvalue()
    assert (here / "song-stream-1.pcm").name in err.getvalue()


async def test_a_song_is_joined_into_a_named_file(stand_in: Any, here: Path) -> None:
    """A stream that runs already is heard from its start, into the file that was asked for."""
    stand_in.script(sing)
    assert await run(stand_in, io.StringIO(), stream_id="stream-1", output=Path("mine.bin")) == 0
    assert await asyncio.to_thread((here / "mine.bin").read_bytes) == b"".join(stand_in.payloads)


async def test_standard_output_gets_audio_alone(stand_in: Any, here: Path) -> None:
    """With `-o -` the bytes go to standard output, the words to standard error, and no file is made."""
    stand_in.script(sing)
    out, err = io.BytesIO(), io.StringIO()
    assert await run(stand_in, err, prompt="rain", output="-", out=out) == 0
    assert out.getvalue() == b"".join(stand_in.payloads)
    assert "sha256 verified" in err.getvalue()
    assert await asyncio.to_thread(os.listdir, here) == []


async def test_a_player_that_is_closed_ends_it_quietly(stand_in: Any) -> None:
    """A broken pipe is the user's way to say enough: no error, and code 0."""
    stand_in.script(sing)
    reading, writing = os.pipe()
    os.close(reading)
    err, out = io.StringIO(), os.fdopen(writing, "wb")
    assert await run(stand_in, err, prompt="rain", output="-", out=out) == 0
    assert err.getvalue() == ""
    await asyncio.to_thread(out.close)


async def test_a_failed_song_is_a_sentence_and_what_was_kept(stand_in: Any, here: Path) -> None:
    """The gateway's sentence and code, what is on the disk, how to go on, code 1, and no traceback."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created(warnings=["Careful."])
        await talk.started()
        await talk.frames(*range(10))
        await talk.fail("upstream_interrupted")

    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain") == 1
    assert err.getvalue().splitlines() == [
        "Note: Careful.",
        "This is upstream_interrupted. (upstream_interrupted)",
        "0:01 (4 kB) is kept in song-stream-1.mp3.",
        "To hear it again: wavegate listen --stream stream-1",
    ]


async def test_bytes_that_differ_are_a_failure(stand_in: Any, here: Path) -> None:
    """A song whose hash is wrong is kept, and called wrong."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed(sha256="0" * 64)

    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain") == 1
    assert "sha256 differs" in err.getvalue()


async def test_a_song_with_a_gap_is_done_but_not_verified(stand_in: Any, here: Path) -> None:
    """What was not heard whole is not called verified."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(5)
        await talk.say(events.StreamGap("stream-1", 0, 5, "retention"))
        await talk.frames(*range(5, 10))
        await talk.completed()

    err = io.StringIO()
    assert await run(stand_in, err, stream_id="stream-1") == 0
    assert "not heard whole" in err.getvalue()


async def test_ctrl_c_keeps_what_was_heard_and_says_so(
    stand_in: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation tidies up: the file holds every byte, the words tell where, the code is 1."""
    written = asyncio.Event()
    write = Output.write

    async def watched(output: Output, data: bytes, then: Any = None) -> None:
        await write(output, data, then)
        if output.bytes == 2000:
            written.set()

    monkeypatch.setattr(Output, "write", watched)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.started()
        await talk.frames(*range(5))

    err = io.StringIO()
    running = asyncio.ensure_future(run(stand_in, err, prompt="rain"))
    path = here / "song-stream-1.mp3"
    async with asyncio.timeout(WITHIN):
        await written.wait()
    running.cancel()
    assert await running == 1
    assert await asyncio.to_thread(path.read_bytes) == b"".join(stand_in.payloads[:5])
    assert err.getvalue().splitlines() == [
        "Stopped.",
        "0:00 (2 kB) is kept in song-stream-1.mp3.",
        "To hear it again: wavegate listen --stream stream-1",
    ]


async def test_a_full_disk_is_a_sentence(stand_in: Any, here: Path) -> None:
    """An error of the disk is told as such."""
    stand_in.script(sing)

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    err = io.StringIO()
    assert await run(stand_in, err, prompt="rain", output="-", out=Full()) == 1
    assert "could not be written" in err.getvalue()
    assert "No space left" in err.getvalue()


async def test_an_id_cannot_choose_the_directory(stand_in: Any, here: Path) -> None:
    """Whatever the gateway calls a stream, the file lands in the current directory."""
    stand_in.script(sing)
    assert await run(stand_in, io.StringIO(), stream_id="../../etc/x") == 0
    assert await asyncio.to_thread(os.listdir, here) == ["song-______etc_x.mp3"]


class Screen(io.BytesIO):
    """A terminal as standard output."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "which stream"),
        ({"prompt": "a", "stream_id": "b"}, "one of them"),
        ({"text": "a", "stream_id": "b"}, "one of them"),
        ({"prompt": "a", "output": Path("missing/x.mp3")}, "missing/x.mp3"),
        ({"prompt": "a", "output": Path()}, "Nothing can be written"),
        ({"prompt": "a", "output": "-", "out": Screen()}, "terminal"),
        ({"prompt": "a", "server": "localhost"}, "http://127.0.0.1:8080"),
        ({"prompt": "a", "key": "a b"}, "spaces"),
        ({"prompt": "a", "key": None}, "key"),
        ({"prompt": "a", "key": None, "ticket": "wt_\udcff"}, "ASCII"),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_paid_for(
    stand_in: Any, here: Path, options: dict[str, Any], words: str
) -> None:
    """Code 2, one sentence, and no connection was made."""
    err = io.StringIO()
    assert await run(stand_in, err, **options) == 2
    assert words in err.getvalue()
    assert len(err.getvalue().splitlines()) == 1
    assert stand_in.requests == []


async def test_nobody_there_is_one_sentence(stand_in: Any, here: Path) -> None:
    """A gateway that does not run is named, with code 1."""
    err = io.StringIO()
    assert await run(stand_in, err, server="http://127.0.0.1:1", prompt="rain") == 1
    assert "ws://127.0.0.1:1/v1/ws cannot be reached" in err.getvalue()
    assert len(err.getvalue().splitlines()) == 1

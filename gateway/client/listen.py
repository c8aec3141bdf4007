"""`wavegate listen`: orders or joins a song, shows how it comes in, and keeps the audio.

Invariant: whatever ends it (the end, an error, Ctrl-C, a player that was closed) the terminal is as it was before, what
was heard is on the disk, and the last lines say in words what happened; standard output carries audio and nothing else.
It must not know the protocol: that is the client's.
"""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from gateway.client.brush import DIM, GREEN, RED, YELLOW
from gateway.client.client import Client, Where
from gateway.client.errors import USAGE, ClientError
from gateway.client.event import Interruption
from gateway.client.meter import Measuring, Meter
from gateway.client.output import Output
from gateway.client.progress import Progress
from gateway.client.song import Song
from gateway.client.terminal import clock, size
from gateway.client.wire import Frame

DONE, FAILED, MISUSED = 0, 1, 2

# Who says a text unless somebody else is asked for.
SPEECH_MODEL, VOICE = "cosyvoice-v3-flash", "longanyang"

_EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "audio/aac": "aac",
    "audio/mp4": "mp4",
    "audio/flac": "flac",
    "audio/L16": "pcm",
}
_PLAYERS = {"mpv": "mpv", "ffplay": "ffplay -nodisp -autoexit", "vlc": "vlc", "afplay": "afplay"}


async def listen(
    server: str,
    key: str | None,
    *,
    ticket: str | None = None,
    prompt: str | None = None,
    lyrics: str | None = None,
    text: str | None = None,
    voice: str | None = None,
    model: str | None = None,
    idempotency_key: str | None = None,
    stream_id: str | None = None,
    since: Where = "start",
    format: str = "mp3",  # noqa: A002 - the option's name
    output: Path | Literal["-"] | None = None,
    measuring: Measuring | None = None,
    err: TextIO | None = None,
    out: BinaryIO | None = None,
) -> int:
    """Hears one song or text, with a key or a ticket. Returns the exit code: 0 done, 1 failed, 2 wrong usage.

    `output` is a file, "-" for standard output, or None for song-ID.EXT in the current directory. `measuring` makes
    what the picture's levels are measured with. A cancellation (which is what Ctrl-C becomes under asyncio.run) and
    SIGTERM end it like a failure, with everything tidied up.
    """
    err = sys.stderr if err is None else err
    out = sys.stdout.buffer if out is None else out
    meter = Meter(measuring)
    progress = Progress(err, time.monotonic, os.environ, meter)
    words = prompt or lyrics or text
    mistake = await asyncio.to_thread(_mistake, bool(words), stream_id, output, out)
    if mistake is not None:
        progress.say(f"wavegate: {mistake}")
        return MISUSED
    target = Output(output if isinstance(output, Path) else None, out if output == "-" else None)
    ticker = asyncio.create_task(progress.run())
    failure: BaseException | None = None
    try:
        with _ended_by_signal():
            async with Client(server, key=key, ticket=ticket) as client:
                if stream_id is not None:
                    song = await client.attach(stream_id, since=since, format=format)
                elif text is not None:
                    song = await client.speak(
                        text,
                        voice=voice or VOICE,
                        model=model or SPEECH_MODEL,
                        format=format,
                        idempotency_key=idempotency_key,
                    )
                else:
                    song = await client.create(
                        prompt=prompt, lyrics=lyrics, model=model, format=format, idempotency_key=idempotency_key
                    )
                progress.song = song
                await _hear(song, target, progress, meter, named=output is not None)
    except (ClientError, OSError, asyncio.CancelledError) as error:
        failure = error
    finally:
        ticker.cancel()
        progress.finish()
        await asyncio.wait({ticker}, timeout=1.0)
        await target.close()
    return await asyncio.to_thread(_conclude, progress, target, failure)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM ends the task as Ctrl-C does, where signals can be heard: a cursor that was hidden comes back."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    heard = False
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, and threads other than the first
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        heard = True
    try:
        yield
    finally:
        if heard:
            loop.remove_signal_handler(signal.SIGTERM)


async def _hear(song: Song, target: Output, progress: Progress, meter: Meter, *, named: bool) -> None:
    async for event in song.events():
        if isinstance(event, Interruption):
            progress.interrupted(event)
        elif isinstance(event, Frame):
            if not named and target.path is None:
                target.path = _default_path(song)
            assert song.format is not None, "a frame comes after the format it is in"
            await target.write(event.payload, partial(meter.feed, song.format) if progress.drawing else None)


def _default_path(song: Song) -> Path:
    """In the current directory, whatever characters the gateway puts in an id."""
    assert song.format is not None, "a frame comes after the format it is in"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", song.id)
    return Path(f"song-{name}.{_EXTENSIONS.get(song.format.mime.partition(';')[0], song.format.codec)}")


def _mistake(has_text: bool, stream_id: str | None, output: Path | str | None, out: BinaryIO) -> str | None:
    """What is wrong with the wishes, before anything is paid for."""
    if has_text == (stream_id is not None):
        return "Say what to sing (a prompt, lyrics or both), or what to say, or which stream to join: one of them."
    if output == "-" and out.isatty():
        return "Audio is nothing to read on a terminal: send it on (-o - | ffplay -) or name a file (-o song.mp3)."
    if isinstance(output, Path):
        place = output if output.exists() else output.parent
        if output.is_dir() or not place.exists() or not os.access(place, os.W_OK):
            return f"Nothing can be written to {output}."
    return None


# -- the last words ----------------------------------------------------------------------------------------------------


def _conclude(progress: Progress, target: Output, failure: BaseException | None) -> int:
    """Says what happened and what is left of it; the exit code follows from that."""
    song = progress.song
    for warning in song.info.warnings if song is not None and song.info is not None else ():
        progress.explain(f"Note: {warning}", style=YELLOW)
    if isinstance(failure, BrokenPipeError) and target.path is None:
        return DONE  # the player was closed: its user has heard enough
    if failure is None:
        assert song is not None
        return _whole(progress, target, song)
    if isinstance(failure, asyncio.CancelledError):
        progress.say("Stopped.", style=YELLOW)
    elif isinstance(failure, ClientError):
        progress.explain(f"{failure.message} ({failure.code})", style=RED)
    else:
        progress.explain(f"The audio could not be written: {failure}.", style=RED)
    _kept(progress, target, song)
    return MISUSED if isinstance(failure, ClientError) and failure.code in USAGE else FAILED


def _whole(progress: Progress, target: Output, song: Song) -> int:
    numbers = song.statistics
    facts = [clock(numbers.seconds), size(target.bytes)]
    if target.path is not None:
        facts.insert(0, str(target.path))
    if song.verified is False:
        progress.say(*facts)
        progress.say("The bytes are not those that the gateway announced: sha256 differs.", style=RED)
        return FAILED
    facts.append("sha256 verified" if song.verified else "not heard whole, so not verified")
    progress.say(*facts, style=GREEN if song.verified else YELLOW)
    if target.path is not None:
        progress.say(_how_to_play(target.path, song), style=DIM)
    return DONE


def _kept(progress: Progress, target: Output, song: Song | None) -> None:
    """What is left of a song that was not heard to its end, and how to hear the rest."""
    if song is None:
        return
    if target.path is not None and target.bytes:
        heard = clock(song.statistics.seconds)
        progress.say(f"{heard} ({size(target.bytes)}) is kept in {target.path}.")
    progress.say(f"To hear it again: wavegate listen --stream {song.id}", style=DIM)


def _how_to_play(path: Path, song: Song) -> str:
    if song.format is not None and song.format.mime == "audio/L16":
        # Nothing in the bytes tells what they are.
        form = f"-f s16le -ar {song.format.sample_rate} -ch_layout {'mono' if song.format.channels == 1 else 'stereo'}"
        return f"Play it: ffplay -nodisp -autoexit {form} {shlex.quote(str(path))}"
    found = next((command for program, command in _PLAYERS.items() if shutil.which(program)), None)
    return f"Play it: {found} {shlex.quote(str(path))}" if found else f"Play it with any player: {path}"

"""The conversation of `wavegate probe`: the offer, the question, the purchase, the report.

Invariant: nothing is spent before a yes, and whatever happens afterwards, what was learned is told. The report goes to
`out`, everything else to `err`. It must not know options, the environment, or where the key is from.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from gateway.config.schema import Upstream
from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol.limits import check
from gateway.upstream.probe.findings import CNY_A_SECOND, find
from gateway.upstream.probe.purchase import Purchase
from gateway.upstream.probe.report import Discretion, names, save, text

PROMPT = "a calm piano piece for a rainy night"
"""What is sung about unless somebody says otherwise."""

SONG_SECONDS = 200
"""What a song lasts, about; it cannot be chosen."""

DONE, FAILED = 0, 1


class OrderError(Exception):
    """Nothing was bought, and the message says why."""


def order(upstream: Upstream, prompt: str, audio_format: str, directory: Path | None) -> SongRequest:
    """The song to buy, and a place for the report. Raises OrderError while that is still free of charge."""
    song = SongRequest(upstream.model, Mode.STREAM, SongInput(prompt=prompt, format=audio_format))
    try:
        check(song)
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
    except RequestError as error:
        raise OrderError(error.message) from None
    except OSError as error:
        raise OrderError(f"{directory} cannot be made: {error.strerror}.") from None
    if directory is not None:
        if not os.access(directory, os.W_OK | os.X_OK):
            raise OrderError(f"{directory} cannot be written to.")
        if any((directory / name).exists() for name in names(audio_format)):
            raise OrderError(f"{directory} already holds a report. Choose another directory.")
    return song


def offer(purchase: Purchase) -> str:
    """What will be bought, and what that costs."""
    model, given = purchase.song.model, purchase.song.input
    price = CNY_A_SECOND[model]
    return (
        f"This buys one song from {purchase.url.host_port_subcomponent} with your key, and sends one call:\n"
        f"  {model}, {given.format}, streamed; a prompt of {len(given.prompt or '')} characters\n"
        f"  about {SONG_SECONDS} s at {price:g} CNY a second: about {SONG_SECONDS * price:.2f} CNY\n"
    )


def confirm(answers: TextIO, err: TextIO) -> None:
    """Asks, and raises OrderError unless the answer is yes."""
    if not answers.isatty():
        raise OrderError("there is nobody to ask, so nothing was bought. Say yes beforehand with --yes.")
    err.write("Buy one song? [y/N] ")
    err.flush()
    try:
        answer = answers.readline()
    except KeyboardInterrupt:
        answer = ""
        err.write("\n")
    if answer.strip().lower() not in ("y", "yes"):
        raise OrderError("nothing was bought.")


async def probe(purchase: Purchase, discretion: Discretion, directory: Path | None, *, out: TextIO, err: TextIO) -> int:
    """Buys, reports, and gives the exit code. SIGINT or SIGTERM closes the connection, and the report still comes."""
    loop = asyncio.get_running_loop()
    buying = asyncio.ensure_future(purchase.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, buying.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await buying
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if purchase.interrupted:
        _write(err, _stopped(purchase))
    found = await asyncio.to_thread(find, purchase)
    _write(out, "\n" + text(found, discretion))
    code = FAILED if purchase.interrupted or purchase.failure else DONE
    if directory is not None:
        audio = b"".join(piece.data for piece in purchase.log.slices)
        try:
            saved = await asyncio.to_thread(save, directory, found, audio, purchase.file, discretion)
        except OSError as error:
            _write(err, f"The report could not be saved: {error.strerror}.\n")
            return FAILED
        _write(err, f"saved: {', '.join(map(str, saved))}\n")
    return code


def _stopped(purchase: Purchase) -> str:
    if purchase.marks.sent is None:
        return "\nstopped before the call was sent: nothing was bought\n"
    if purchase.finished is not None:
        return "\nstopped while the file was fetched: the song is bought\n"
    return "\nstopped: the connection is closed, but the provider may still charge for the song\n"


def _write(stream: TextIO, words: str) -> None:
    # A report that was paid for must not be lost to a terminal that lacks a character.
    encoding = stream.encoding or "utf-8"
    stream.write(words.encode(encoding, "replace").decode(encoding))
    stream.flush()

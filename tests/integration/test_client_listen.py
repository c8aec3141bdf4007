"""`wavegate listen` on a real terminal: a pseudo-terminal, a demo gateway, and the signals that people send.

Invariant under test: the picture shows the real sound, no line is wider than the terminal, and whatever ends it the
cursor is back, what was heard is on the disk and the exit code says how it went.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.client.terminal import HIDE_CURSOR, SHOW_CURSOR, columns
from tests.house.programs import Program
from tests.house.tree import ROOT
from transcode.framer import Framer

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Program]]
COLUMNS = 60
# Runs a program on a terminal of its own, and tells who it is: `exec` keeps the number.
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# At its own speed it is drawn some thirty times, whatever else the machine does.
SONG = "[[song seconds=4 speed=1]] a song of four seconds on a terminal"
LONG = "[[song seconds=60 speed=4]] a song that is longer than patience"


async def demo(process: Start) -> tuple[Program, str]:
    arguments = ("serve", "--demo", "--port", "0", "--internal-port", "0")
    program = await process(sys.executable, "-m", "gateway", *arguments, cwd=ROOT)
    return program, (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]


async def listen(process: Start, folder: Path, url: str, prompt: str, file: str, **environment: str) -> Program:
    command = f'stty cols {COLUMNS}; echo "number $$"; exec "$0" -m gateway listen "$@"'
    options = ("--server", url, "--key", "demo", "--prompt", prompt, "-o", file)
    surroundings = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "NO_COLOR": ""} | environment
    python = sys.executable
    return await process(
        python, "-c", ON_A_TERMINAL, "sh", "-c", command, python, *options, cwd=folder, environment=surroundings
    )


def lines(program: Program) -> list[str]:
    """Everything that was ever drawn, without its escape sequences."""
    return STYLE.sub("", program.said).replace("\r", "").splitlines()


async def test_the_picture_is_the_sound_and_the_terminal_is_left_as_it_was(process: Start, tmp_path: Path) -> None:
    """In colour and without: a landscape, a meter a channel, the end in words, and a cursor that is back."""
    _, url = await demo(process)
    coloured = await listen(process, tmp_path, url, SONG, "colour.mp3")
    grey = await listen(process, tmp_path, url, SONG, "grey.mp3", NO_COLOR="1")
    for program, colour in ((coloured, True), (grey, False)):
        assert await program.ends(40.0) == 0, program.said
        drawn = lines(program)
        assert max(columns(line) for line in drawn[1:]) <= COLUMNS
        assert any(re.fullmatch(r"  0:0\d [▁▂▃▄▅▆▇█]+─+ 0:15", line) for line in drawn)
        assert any(re.fullmatch(r"     L ━+─*╸?─* +-\d+ dB", line) for line in drawn)
        assert "  ✓ completed" in drawn
        assert any(line.endswith("sha256 verified") for line in drawn)
        assert (program.said.count(HIDE_CURSOR), program.said.count(SHOW_CURSOR)) == (1, 1)
        assert program.said.index(SHOW_CURSOR) > program.said.index("✓")
        assert ("\x1b[32m" in program.said) is colour
        assert "Traceback" not in program.said
    sizes = [len((tmp_path / name).read_bytes()) for name in ("colour.mp3", "grey.mp3")]
    assert sizes[0] == sizes[1] > 0


async def test_whoever_stops_it_has_the_terminal_back_and_what_was_heard(process: Start, tmp_path: Path) -> None:
    """Ctrl-C and a polite end: words, code 1, whole frames on the disk."""
    gateway, url = await demo(process)
    signals = {"int.mp3": signal.SIGINT, "term.mp3": signal.SIGTERM}
    programs = {file: await listen(process, tmp_path, url, f"{LONG} {file}", file) for file in signals}
    for file, program in programs.items():
        listener = int((await program.says(r"number (\d+)"))[1])
        await program.says("receiving", 40.0)
        os.kill(listener, signals[file])
    for file, program in programs.items():
        assert await program.ends() == 1, program.said
        drawn = lines(program)
        assert "  Stopped." in drawn
        assert any(f"is kept in {file}" in line for line in drawn)
        assert program.said.count(HIDE_CURSOR) == program.said.count(SHOW_CURSOR) == 1
        assert program.said.index(SHOW_CURSOR) < program.said.index("Stopped.")
        assert "Traceback" not in program.said
        data = await asyncio.to_thread((tmp_path / file).read_bytes)
        framer = Framer()
        assert b"".join([frame.data for frame in framer.feed(data) + framer.flush()]) == data
    gateway.send(signal.SIGKILL)  # it would let the songs end
    await gateway.ends()

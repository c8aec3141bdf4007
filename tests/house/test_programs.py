"""Programs: heard while they run, ended in time, and their failures tell what they said.

Invariant: the programs are one-liners of this very Python, waiting on signals and never on time.
It must not need any program of the system.
"""

import signal
import sys

import pytest

from tests.house.programs import Program

WAIT = "import signal, sys; print('ready', flush=True); print('noise', file=sys.stderr, flush=True); "


async def test_output_is_heard_and_the_exit_code_returned() -> None:
    """Both streams are kept apart, text can be waited for, and a program that ends by itself gives its code."""
    program = await Program.start(
        sys.executable, "-c", "import os, sys; print(os.environ['SONG']); sys.exit(3)", environment={"SONG": "la"}
    )
    match = await program.says(r"^(l.)$")
    assert match[1] == "la"
    assert await program.ends() == 3
    assert bytes(program.stdout) == b"la\n"
    assert bytes(program.stderr) == b""
    assert await program.stop() == 3


async def test_a_program_that_ends_without_the_words_fails_at_once() -> None:
    """Waiting for words ends with the program, and the failure shows what it said instead."""
    program = await Program.start(sys.executable, "-c", "print('sorry')")
    with pytest.raises(AssertionError, match=r"(?s)without saying 'ready'.*sorry"):
        await program.says("ready", timeout=30)
    await program.stop()


async def test_waits_are_bounded() -> None:
    """Words that do not come and an end that does not come both fail after their timeout."""
    program = await Program.start(sys.executable, "-c", WAIT + "signal.pause()")
    await program.says("noise")
    with pytest.raises(AssertionError, match=r"(?s)did not say 'never'.*ready"):
        await program.says("never", timeout=0.01)
    with pytest.raises(AssertionError, match="did not end"):
        await program.ends(timeout=0.01)
    assert await program.stop() == -signal.SIGTERM


async def test_a_program_that_ignores_the_polite_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGTERM and its grace comes SIGKILL for the whole session."""
    monkeypatch.setattr("tests.house.programs.END_TIMEOUT", 0.5)
    program = await Program.start(
        sys.executable,
        "-c",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT + "\nwhile True: signal.pause()",
    )
    await program.says("ready")
    assert await program.stop() == -signal.SIGKILL

"""What is told of the machine, and what where it cannot be told.

Invariant under test: a machine without /proc, without ffmpeg or without uvloop is described all the same.
It must not know the figures.
"""

from pathlib import Path

import pytest

from gateway import __version__
from gateway.bench import machine as module
from gateway.bench.machine import UNKNOWN, ffmpeg_version, installed, machine


def test_this_machine_is_told(tmp_path: Path) -> None:
    """In two lines, with the versions."""
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Abacus 3\nmodel name\t: Abacus 4\n")
    here = machine(info)
    assert here.model == "Abacus 3"
    assert here.processors >= 1
    said = here.text()
    assert said.count("\n") == 2
    assert f"av {installed('av')}, ffmpeg " in said
    assert f"Wavegate {__version__}, Python " in said
    assert f"aiohttp {installed('aiohttp')}, websockets {installed('websockets')}, " in said


def test_without_proc_and_uvloop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kind of processor stands for its name."""
    monkeypatch.setattr(module, "installed", lambda package: UNKNOWN)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    here = machine(tmp_path / "cpuinfo")
    assert here.loop == "asyncio"
    assert here.model


def test_a_package_that_is_not_there() -> None:
    """Is unknown."""
    assert installed("no-such-package-at-all") == UNKNOWN


def test_ffmpeg_says_its_version(tmp_path: Path) -> None:
    """The third word, if the first two are its own."""
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho ffmpeg version 7.1-x Copyright\n")
    program.chmod(0o755)
    assert ffmpeg_version(str(program)) == "7.1-x"
    program.write_text("#!/bin/sh\necho hello\n")
    assert ffmpeg_version(str(program)) == UNKNOWN
    program.write_text("#!/bin/sh\nexit 1\n")
    assert ffmpeg_version(str(program)) == UNKNOWN
    assert ffmpeg_version(None) == "not installed"

"""The machine that a bench ran on, in the words that its figures must be read with.

Invariant: what cannot be told is said to be unknown; nothing here fails.
It must not know what was measured.
"""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gateway import __version__

UNKNOWN = "unknown"
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Machine:
    """`processors` are those that this process may use, `load` is the mean of a minute when the bench began."""

    processors: int
    model: str
    system: str
    wavegate: str
    python: str
    av: str
    ffmpeg: str
    loop: str
    aiohttp: str
    websockets: str
    load: float

    def text(self) -> str:
        """Two lines."""
        return (
            f"{self.processors} processors ({self.model}), load {self.load:.1f}, {self.system}\n"
            f"Wavegate {self.wavegate}, Python {self.python}, {self.loop}, aiohttp {self.aiohttp}, "
            f"websockets {self.websockets}, av {self.av}, ffmpeg {self.ffmpeg}\n"
        )


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """This one."""
    able = getattr(os, "sched_getaffinity", None)
    uvloop = installed("uvloop")
    return Machine(
        processors=len(able(0)) if able is not None else os.cpu_count() or 1,
        model=_model(cpuinfo),
        system=f"{platform.system()} {platform.release()}",
        wavegate=__version__,
        python=platform.python_version(),
        av=installed("av"),
        ffmpeg=ffmpeg_version(shutil.which("ffmpeg")),
        loop="asyncio" if uvloop == UNKNOWN else f"uvloop {uvloop}",
        aiohttp=installed("aiohttp"),
        websockets=installed("websockets"),
        load=os.getloadavg()[0],
    )


def installed(package: str) -> str:
    """The version of a package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


def ffmpeg_version(program: str | None) -> str:
    """What the program says of itself in its first line."""
    if program is None:
        return "not installed"
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)  # noqa: S603 - the program that is measured
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    words = said.stdout.split()
    return words[2] if words[:2] == ["ffmpeg", "version"] and len(words) > 2 else UNKNOWN


def _model(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine() or UNKNOWN

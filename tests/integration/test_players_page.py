"""The lines of deploy/players/README.md, run as they stand there, against a gateway on its simulator.

Invariant under test: whoever copies a line hears the song: every program ends well, and every file that it leaves is
the whole song. A program that is not installed skips its block by name.
"""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.house.programs import Program
from tests.support.gateway import KEY, bench

PAGE = Path(__file__).parents[2] / "deploy" / "players" / "README.md"
TEXT = PAGE.read_text()
SECONDS = 1.5
SONG = f"[[scale seconds={SECONDS:g} speed=16]] a scale for every player"
PATIENCE = 40.0
# What a shell has anyway, or what this project is.
OURS = {"wavegate", "grep", "sed"}
PROGRAMS = re.compile(r"^(?:[A-Z]+=\$\()?([a-z][\w.-]+) ", re.MULTILINE)
# Headerless or not a song's length: what a file is to be, instead of being asked.
RAW = {
    "call.pcm": ("-f", "s16le", "-ar", "8000"),
    "python.pcm": ("-f", "s16le", "-ar", "24000"),
    "ffplay.pcm": ("-f", "s16le", "-ar", "48000", "-ac", "2"),
}
OTHER = {"headers.txt", "radio.bin"}
PIECES = {"loop.ogg": 0.75}  # a second that overlaps itself by a quarter
# Sound cards that are files.
CARDS = {"cvlc": "vlc.wav", "mpv": "mpv.wav", "ffplay": "ffplay.pcm"}
TOLERANCE = {"ffplay.pcm": 0.6}  # its card is on before the song and after it

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Program]]


def blocks(language: str) -> list[str]:
    """The page's fenced blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


SETTING = blocks("sh")[0]


def programs(block: str) -> str:
    """The programs of others that a block of shell needs, by name."""
    return " ".join(name for name in dict.fromkeys(PROGRAMS.findall(block)) if name not in OURS)


def scripts() -> dict[str, str]:
    """What to run, by the programs that it needs: their blocks one after another, behind the page's settings."""
    setting, _, first = SETTING.rpartition("curl")
    found = {"curl": f"curl{first}"}
    for block in blocks("sh")[1:]:
        name = programs(block) or "wavegate"
        found[name] = found.get(name, "") + block
    found["python"] = "".join(f"python -c {shlex.quote(block)}\n" for block in blocks("python"))
    return {name: f"{setting}\nexport AUDIO TICKET\n{text}" for name, text in found.items()}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own: not every program runs as whoever runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def surroundings(place: Path) -> dict[str, str]:
    """Sound cards that are files, and a home for programs that insist on one."""
    folder, home = place / "out", place / "home"
    (home / ".config" / "vlc").mkdir(parents=True)
    (home / ".config" / "vlc" / "vlcrc").write_text(f"aout=afile\naudiofile-file={folder}/vlc.wav\n")
    (home / "mpv.conf").write_text(f"ao=pcm\nao-pcm-file={folder}/mpv.wav\n")
    folder.mkdir()
    for one in (place, folder, home):
        one.chmod(0o777)
    return {
        "SDL_AUDIODRIVER": "disk",
        "SDL_DISKAUDIOFILE": f"{folder}/ffplay.pcm",
        "SDL_DISKAUDIODELAY": "10",
        "MPV_HOME": str(home),
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KEY": KEY,
    }


async def length(process: Start, ffmpeg: str, file: Path) -> float:
    """Seconds of sound that ffmpeg finds in it, decoding all of it without a complaint."""
    asked = await process(
        ffmpeg,
        "-v",
        "error",
        "-xerror",
        *RAW.get(file.name, ()),
        "-i",
        file,
        "-f",
        "s16le",
        "-ar",
        "8000",
        "-ac",
        "1",
        "-",
    )
    assert await asked.ends(PATIENCE) == 0, (file.name, bytes(asked.stderr))
    return len(asked.stdout) / 16000


@pytest.mark.parametrize("name", scripts())
async def test_the_lines_of_the_page_play_the_song(
    name: str, process: Start, need: Callable[[str], str], place: Path, surroundings: dict[str, str]
) -> None:
    """The program says nothing is wrong, and what it wrote, or gave its sound card, is the song in its whole length."""
    before: list[str] = []
    for program in set(name.split()) - {"cvlc", "wavegate", "python"}:
        need(program)
    if name == "cvlc":
        if shutil.which(name) is None:
            pytest.skip("needs cvlc, which is not installed here")
        if os.geteuid() == 0:  # it refuses to run as root
            before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    folder = place / "out"
    async with bench() as gateway:
        stream = await gateway.create(SONG)
        if name == "curl":  # clips are of what there is by now; that is to be the song
            async with gateway.http.get(stream["urls"]["audio"]) as response:
                await response.read()
        environment = surroundings | {"GATEWAY": gateway.url, "STREAM": stream["id"]}
        shell = [*before, "bash", "-euo", "pipefail", "-c", scripts()[name]]
        running = await process(*shell, cwd=folder, environment=environment)
        assert await running.ends(PATIENCE) == 0, running.said
    files = sorted(folder.iterdir())
    assert files
    assert not CARDS.get(name) or CARDS[name] in [file.name for file in files]
    for file in files:
        assert file.stat().st_size > (100 if file.name in OTHER else 1000)
        if file.name not in OTHER:
            found, expected = await length(process, need("ffmpeg"), file), PIECES.get(file.name, SECONDS)
            assert abs(found - expected) < TOLERANCE.get(file.name, 0.15), file.name

"""The browser SDK as a package, and what a song does with frames that come twice or whose place is lost.

Invariant under test: what is packed is what is imported, its types are what it does, and no frame counts twice. What
needs no browser is tested by sdk.test.mjs. It must not know the player page.
"""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import WebSocketRoute

from tests.browser.conftest import Visit
from tests.browser.listening import ICON, NOWHERE, SCRIPT

ROOT = Path(__file__).parents[2]
WEB = ROOT / "gateway" / "web"
HERE = Path(__file__).parent
USE = """
import * as sdk from 'wavegate-sdk';
console.log(Object.keys(sdk).sort().join());
new sdk.Wavegate({ server: 'https://music.example', ticket: 'wt_x' }).close(); // a server may ask, too
console.log(import.meta.resolve('wavegate-sdk/wavegate-player.js').split('/').pop());
"""
IMPORT = re.compile(r"""(?:from|import) *\(?'\./([\w-]+\.js)'""")


def run(*command: str, cwd: Path = HERE) -> str:
    """What it says, if it succeeds."""
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_needs_no_browser(need: Callable[[str], str]) -> None:
    """Frames, close codes, the track and samples, in Node."""
    said = run(need("node"), "--test", "sdk.test.mjs")
    assert int(re.findall(r"^. pass (\d+)", said, re.MULTILINE)[0]) >= 10
    assert re.findall(r"^. skipped (\d+)", said, re.MULTILINE) == ["0"]


def test_the_types_are_those_of_the_script(need: Callable[[str], str]) -> None:
    """A program that uses everything compiles, one that uses it wrongly does not, and no public name is missing."""
    compiler = f"{need('npm:typescript')}/bin/tsc"
    switches = "--noEmit --strict --target es2023 --module nodenext --lib es2023,dom,dom.iterable --types"
    run(need("node"), compiler, *switches.split(), "", "sdk.types.mts")


def test_what_is_packed_is_what_is_imported(need: Callable[[str], str], tmp_path: Path) -> None:
    """npm packs the SDK's files and no other; a project can use the package; its version is the gateway's."""
    needed = {"worklet.js", "wavegate.d.ts", "wavegate-player.d.ts", "package.json", "README.md", "LICENSE"}
    found = ["wavegate.js", "wavegate-player.js"]
    while found:
        name = found.pop()
        needed.add(name)
        found.extend(set(IMPORT.findall((WEB / name).read_text())) - needed)
    # In a copy of the tree, for the licence is laid beside the files while they are packed.
    web = shutil.copytree(WEB, tmp_path / "tree" / "gateway" / "web")
    shutil.copy(ROOT / "LICENSE", tmp_path / "tree")
    said = run(need("npm"), "pack", "--json", "--pack-destination", str(tmp_path), cwd=web)
    (packed,) = json.loads(said[said.index("[\n") :])
    assert {file["path"] for file in packed["files"]} == needed
    assert not (web / "LICENSE").exists()
    run("tar", "xf", packed["filename"], cwd=tmp_path)
    modules = tmp_path / "project" / "node_modules"
    modules.mkdir(parents=True)
    (tmp_path / "package").rename(modules / "wavegate-sdk")
    (modules.parent / "use.mjs").write_text(USE)
    said = run(need("node"), "use.mjs", cwd=modules.parent)
    assert said.split() == ["Song,Wavegate,WavegateError,readFrame", "wavegate-player.js"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert packed["version"] == project["version"]


async def test_frames_that_come_twice_count_once(gateway: Any, visit: Visit) -> None:
    """A gateway that repeats itself after a reconnect changes neither the sound nor the hash."""

    def twice(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            socket.send(message)
            if isinstance(message, bytes):
                socket.send(message)

        server.on_message(forward)

    page = await visit(
        f"{gateway.url}{NOWHERE}",
        script=SCRIPT,
        forgiven=ICON,
        prepare=lambda page: page.route_web_socket("**/v1/ws", twice),
    )
    facts = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const song = gate.create({ prompt: '[[scale seconds=1.5 speed=4]] a scale that is told twice' });
             song.play();
             return heard(song);
           }"""
    )
    assert facts["verified"] is True
    assert facts["duration"] == pytest.approx(1.5, abs=0.1)


async def test_a_lost_position_begins_again(gateway: Any, visit: Visit) -> None:
    """After 4203 the song is asked for from its start, and is whole in the end."""
    sockets: list[WebSocketRoute] = []
    asked: list[Any] = []

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        server = socket.connect_to_server()

        def note(message: str | bytes) -> None:
            if "attach" in str(message):
                asked.append(json.loads(message)["since"])
            server.send(message)

        socket.on_message(note)

    page = await visit(
        f"{gateway.url}{NOWHERE}",
        script=SCRIPT,
        forgiven=ICON,
        prepare=lambda page: page.route_web_socket("**/v1/ws", between),
    )
    await page.evaluate(
        """async () => {
             const gate = await gateFor();
             window.song = gate.create({ prompt: '[[scale seconds=3 speed=1.5]] a scale whose place is lost' });
             song.play();
             window.facts = heard(song);
           }"""
    )
    await page.wait_for_function("() => song.currentTime > 1")
    await sockets[-1].close(code=4203, reason="position_lost")
    # It is heard from where it was: not once more from its beginning.
    await page.wait_for_function("() => song.state === 'playing'")
    assert await page.evaluate("() => song.currentTime") >= 1
    facts = await page.evaluate("() => facts")
    assert (facts["states"][-1], facts["verified"]) == ("ended", True)
    assert asked == ["start"]

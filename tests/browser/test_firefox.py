"""The browser SDK in the Firefox of Debian, driven over WebDriver BiDi: a song made as fast as it is heard.

Invariant under test: what Chromium plays Firefox plays too, though it takes other formats. The profile is the test's
own, asks nobody for anything, and may sound without a touch. It must not know the player page.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.browser.conftest import Demo
from tests.browser.listening import NOWHERE, SCRIPT
from tests.browser.test_sdk_sound import PACE, is_whole, tell
from tests.house.programs import Program

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(120)]

PATIENCE = 60.0
QUIET = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.block-autoplay-until-in-foreground": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
}


class Firefox:
    """One tab. Every call waits for its answer, and an answer that is an error raises."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._tab = ""

    async def begin(self) -> None:
        """A session, and its tab."""
        await self._call("session.new", capabilities={})
        tree = await self._call("browsingContext.getTree")
        self._tab = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        """Loads an address, to its end."""
        await self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def cover(self) -> None:
        """Opens another tab before this one."""
        await self._call("browsingContext.create", type="tab", background=False)

    async def evaluate(self, function: str, *values: Any) -> Any:
        """What the function gives, over JSON. Its values are given over JSON, too."""
        told = await self._call(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(values)}],
            target={"context": self._tab},
            awaitPromise=True,
        )
        assert told["type"] == "success", told
        return json.loads(told["result"]["value"])

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE):
            while (message := json.loads(await self._socket.recv())).get("id") != number:
                pass
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result


@pytest.fixture
async def firefox(
    need: Callable[[str], str], process: Callable[..., Awaitable[Program]], tmp_path: Path
) -> AsyncIterator[Firefox]:
    """Firefox without a window, with a profile of its own and a sound card that nobody hears: it needs one."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in QUIET.items()]
    (tmp_path / "user.js").write_text("\n".join(lines))
    program = need("firefox-esr")
    arguments = ("--headless", "--no-remote", "--profile", tmp_path, "--remote-debugging-port", "0")
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    own = {"XDG_RUNTIME_DIR": str(home), "HOME": str(home), "PULSE_SERVER": f"unix:{home}/sound"}
    modules = ("module-null-sink", f"module-native-protocol-unix auth-anonymous=1 socket={home}/sound")
    loaded = [word for module in modules for word in ("-L", module)]
    quiet = ("-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=info", *loaded)
    sound = await process(need("pulseaudio"), *quiet, environment=own)
    await sound.says("Daemon startup complete")
    running = await process(program, *arguments, environment=own)
    found = await running.says(r"WebDriver BiDi listening on (ws://[\d.]+:\d+)")
    async with connect(f"{found[1]}/session", max_size=None) as socket:
        driven = Firefox(socket)
        await driven.begin()
        yield driven


@pytest.mark.parametrize(("way", "codec"), [({}, "opus"), ({"sink": "worklet"}, "pcm")], ids=["mse", "worklet"])
async def test_a_song_is_heard_while_it_is_made(
    gateway: Demo, firefox: Firefox, way: dict[str, str], codec: str
) -> None:
    """It comes in a format that Firefox takes, its clock runs to the end, and the bytes are the song's."""
    await firefox.open(f"{gateway.url}{NOWHERE}")
    await firefox.evaluate(f"() => {{ {SCRIPT} }}")
    facts = await firefox.evaluate(PACE, [way, 1, 5])
    tell(facts)
    is_whole(facts, 5)
    assert (facts["sink"], facts["format"]["codec"]) == (way.get("sink", "mse"), codec)
    assert facts["firstSoundMs"] > 0


BEGIN = """async () => {
  const gate = await gateFor();
  const song = gate.create({ prompt: '[[scale seconds=8 speed=1]] a scale for somebody who reads something else' });
  song.play();
  await until('sound', () => song.state === 'playing');
  window.rest = heard(song);
}"""


async def test_a_tab_in_the_background_goes_on(gateway: Demo, firefox: Firefox) -> None:
    """With another tab before it, and its timers slowed down by the browser, the song is heard to its end."""
    await firefox.open(f"{gateway.url}{NOWHERE}")
    await firefox.evaluate(f"() => {{ {SCRIPT} }}")
    await firefox.evaluate(BEGIN)
    await firefox.cover()
    assert await firefox.evaluate("async () => [document.hidden, await window.rest]") == [True, ANY]
    facts = await firefox.evaluate("() => window.rest")
    tell(facts)
    is_whole(facts, 8)
    assert facts["stalls"] == 0

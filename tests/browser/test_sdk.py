"""The parts of the browser's client that need no sound: frames, close codes, and what a song does with doubles.

Invariant under test: what the wire says is read as the gateway wrote it, and every close code is obeyed.
It must not know the page.
"""

import json
import struct
from typing import Any

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.browser.conftest import Visit


async def test_a_frame_is_read_as_it_was_written(gateway: Any, visit: Visit) -> None:
    """All fields of the header come back, numbers beyond 32 bits too, and the payload is what follows them."""
    frame = struct.pack("!BBHIQII", 1, 2, 5, 4_000_000_000, 2**40 + 7, 3_000_000_001, 1152) + b"\x00\xff\x10"
    page = await visit(gateway.url)
    read = await page.evaluate(
        """async (bytes) => {
             const frame = (await import('/wavegate.js')).readFrame(new Uint8Array(bytes).buffer);
             return { ...frame, payload: [...frame.payload] };
           }""",
        list(frame),
    )
    assert read == {
        "version": 1,
        "kind": 2,
        "flags": 5,
        "randomAccess": True,
        "discontinuity": False,
        "last": True,
        "rendition": 4_000_000_000,
        "pts": 2**40 + 7,
        "seq": 3_000_000_001,
        "duration": 1152,
        "payload": [0, 255, 16],
    }


@pytest.mark.parametrize("frame", [b"", bytes(23), b"\x02" + bytes(23)], ids=["empty", "short", "version 2"])
async def test_what_is_no_frame_is_refused(gateway: Any, visit: Visit, frame: bytes) -> None:
    """Too few bytes or another version are a RangeError, not a frame of nonsense."""
    page = await visit(gateway.url)
    name = await page.evaluate(
        """async (bytes) => {
             const { readFrame } = await import('/wavegate.js');
             try { readFrame(new Uint8Array(bytes).buffer); } catch (problem) { return problem.name; }
           }""",
        list(frame),
    )
    assert name == "RangeError"


async def test_every_close_code_is_obeyed(gateway: Any, visit: Visit) -> None:
    """Final codes end it, 42xx come back at once, the others after the time they name, or by backing off."""
    page = await visit(gateway.url)
    cases = [
        *[(code, "") for code in (1003, 1008, 1009, 4001, 4003, 4004, 4005, 4008, 4010)],
        *[(code, "") for code in (4200, 4201, 4203)],
        *[(code, "slug;retry_after_ms=1200") for code in (1001, 1012, 4100, 4101, 4103)],
        *[(code, "slug") for code in (1006, 1011, 1013, 4102, 4104)],
    ]
    verdicts = await page.evaluate(
        "async (cases) => { const { afterClose } = await import('/connection.js');"
        " return cases.map(([code, reason]) => afterClose(code, reason)); }",
        cases,
    )
    final, now, later, backing_off = verdicts[:9], verdicts[9:12], verdicts[12:17], verdicts[17:]
    assert all(verdict == {"retry": False, "delay": None} for verdict in final)
    assert all(verdict == {"retry": True, "delay": 0} for verdict in now)
    assert all(verdict == {"retry": True, "delay": 1200} for verdict in later)
    assert all(verdict == {"retry": True, "delay": None} for verdict in backing_off)


async def test_backing_off_grows_and_has_an_end(gateway: Any, visit: Visit) -> None:
    """Delays double from half a second up to fifteen, spread over their upper half."""
    page = await visit(gateway.url)
    delays = await page.evaluate(
        "async () => { const { backOff } = await import('/connection.js');"
        " return [0, 1, 2, 3, 9].map((attempt) => [backOff(attempt, () => 0), backOff(attempt, () => 1)]); }"
    )
    assert delays == [[250, 500], [500, 1000], [1000, 2000], [2000, 4000], [7500, 15000]]


async def test_frames_that_come_twice_count_once(gateway: Any, visit: Visit) -> None:
    """A gateway that repeats itself after a reconnect changes neither the sound nor the hash."""

    def twice(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            socket.send(message)
            if isinstance(message, bytes):
                socket.send(message)

        server.on_message(forward)

    page = await visit(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", twice))
    await page.fill("#text", "[[scale seconds=3 speed=4]] a scale that is told twice")
    await page.click("#go")
    await expect(page.locator("#verified")).to_have_text("verified")
    assert (await page.inner_text("#generated")) == "3.0 s"


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

    page = await visit(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", between))
    await page.fill("#text", "[[scale seconds=5 speed=2]] a scale whose place is lost")
    await page.click("#go")
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 1")
    await sockets[-1].close(code=4203, reason="position_lost")
    await expect(page.locator("#verified")).to_have_text("verified")
    assert asked == ["start"]

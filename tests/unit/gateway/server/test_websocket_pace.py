"""How fast a WebSocket's frames may come: every kind of them counts, and who is too fast is heard no more.

Invariant under test: however many frames come in one read, a bounded number of them is looked at.
It must not know what a session does then.
"""

from collections.abc import Callable

import pytest
from websockets.frames import Opcode

from gateway.server import websocket
from gateway.server.pace import Rate
from tests.support.server import Line, new_line


class Heard:
    """A conversation that keeps how long it has to wait, and does `then`."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.closes: list[int] = []
        self.on_too_fast: Callable[[], None] = lambda: None

    def too_fast(self, wait: float) -> None:
        self.waits.append(wait)
        self.on_too_fast()

    def received(self, text: bytes) -> None:
        """What it says is of no interest."""

    def received_binary(self, data: bytes) -> None:
        """Likewise."""

    def closed(self, code: int) -> None:
        self.closes.append(code)


def conversing(rate: Rate) -> tuple[Line, Heard]:
    line, heard = new_line(rate=rate), Heard()
    line.connection.conversation = heard
    return line, heard


def refused(line: Line) -> float:
    return line.recorder.registry.get_sample_value("wavegate_refusals_total", {"reason": "frames"}) or 0.0


@pytest.mark.parametrize("kind", ["messages", "pings", "pongs", "fragments"])
async def test_every_frame_counts(kind: str) -> None:
    """Whatever it carries: the burst is let through, the next is told with the time to wait, and counted once."""
    line, heard = conversing(Rate(60, 3))

    def once() -> None:
        if kind == "messages":
            line.browser.send_text(b"{}")
        elif kind == "pings":
            line.browser.send_ping(b"")
        elif kind == "pongs":
            line.browser.send_pong(b"")
        elif heard.waits or line.connection._begun:
            line.browser.send_continuation(b"x", fin=False)
        else:
            line.browser.send_text(b"x", fin=False)
        line.deliver()

    for _ in range(3):
        once()
    assert heard.waits == []
    once()
    assert heard.waits == [pytest.approx(1.0)]
    once()
    assert len(heard.waits) == 1, "it is not listened to any more"
    assert refused(line) == 1.0


async def test_a_frame_a_second_is_let_through_for_ever() -> None:
    """At the rate, and in the bursts that it allows."""
    line, heard = conversing(Rate(60, 3))
    for _ in range(100):
        line.browser.send_ping(b"")
        line.deliver()
        line.clock.at += 1.0
    assert heard.waits == []


async def test_a_flood_in_one_read_is_given_up_in_its_midst() -> None:
    """Of 20,000 pings no more than one slice is answered beyond what may come, and our close is sent."""
    line, heard = conversing(Rate(60, 100))
    heard.on_too_fast = lambda: line.connection.close(4101, "rate_exceeded")
    flood = b"".join([b"\x89\x80\x00\x00\x00\x00"] * 20_000)
    line.connection.data_received(flood)
    frames = line.heard()
    pongs = [frame for frame in frames if frame.opcode is Opcode.PONG]
    assert 100 <= len(pongs) <= 100 + websocket.SLICE_BYTES // 6 + 1
    assert frames[-1].opcode is Opcode.CLOSE
    written = len(line.wire.written)
    line.connection.data_received(flood)
    assert len(line.wire.written) == written
    line.connection.connection_lost(None)
    assert heard.closes == [4101]


async def test_only_what_a_client_says_of_its_own_accord_counts_as_speaking() -> None:
    """An answer to our ping says that it is there, not that it wants something."""
    line, _ = conversing(Rate(0, 1))
    came = line.connection.spoke_at
    line.clock.at += 10.0
    line.browser.send_pong(b"")
    line.deliver()
    assert line.connection.spoke_at == came
    line.browser.send_text(b"{}")
    line.deliver()
    assert line.connection.spoke_at == came + 10.0

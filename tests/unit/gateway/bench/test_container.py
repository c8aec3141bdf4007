"""How many packets are held back, by packagers that hold some and by ours.

Invariant under test: a packet is out when all its bytes are.
It must not know how containers are laid out.
"""

from collections.abc import Sequence

import pytest

from gateway.bench import container
from gateway.bench.codecs import CODECS
from gateway.bench.container import held, measure
from gateway.bench.song import song
from transcode.formats import FORMATS
from transcode.packet import CodecConfig, Packet


class Hoarder:
    """Gives each packet only when the next two are there."""

    init = b""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        self.packets += [packet.data for packet in packets]
        return self.packets.pop(0) if len(self.packets) > 2 else b""


def test_what_is_held_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most at any time."""
    monkeypatch.setattr(container, "packager", lambda form, config: Hoarder())
    packets = [Packet(b"%d!" % number, number, 1) for number in range(5)]
    assert held(FORMATS["pcm"], CodecConfig(CODECS["pcm"], 0, b""), packets) == 2


def test_ours_hold_nothing() -> None:
    """Every format, and a fragment is a chunk of a tenth of a second or a little more."""
    rows = {row.name: row for row in measure(song(0.5))}
    assert {name: rows[name].value for name in FORMATS} == dict.fromkeys(FORMATS, 0)
    assert 100 <= rows["mp4 chunk"].value <= 150
    assert all(row.verdict == "ok" for row in rows.values())

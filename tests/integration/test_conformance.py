"""Every case of the Autobahn testsuite but compression, against a connection of ours that says back what it hears.

Invariant under test: strictly what the suite expects, never the lesser answer that it lets pass: the frames, their
order, the code of the close frame, and the end of the connection, by the gateway and at once. The cases of families 1
to 7 and 10 stand in `vectors/websocket.json`, as the suite 25.10.1 sends them; those of family 9 are made here.
`kosoku` runs the suite's own files. It must not know how the protocol is spoken.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.echo import echo
from tests.support.server import dial

Start = Callable[..., Awaitable[Program]]

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: echo.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE = 1, 2, 8
MASK = b"\x37\xfa\x21\x3d"
# For messages of megabytes: whoever masks with nothing need not touch each octet.
NO_MASK = b"\0\0\0\0"
CASES: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/vectors/websocket.json").read_text(encoding="utf-8"))
FAMILIES = {family: list(names) for family, names in groupby(CASES, lambda name: name.partition(".")[0])}
KIB, MIB = 1 << 10, 1 << 20


class Said(NamedTuple):
    """A frame of the gateway's."""

    opcode: int
    data: bytes


# -- a client of plain octets ----------------------------------------------------------------------------------------


def masked(opcode: int, data: bytes, *, fin: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    """A client's frame, right or wrong."""
    return head(opcode, len(data), fin=fin, rsv=rsv, mask=mask) + _mask(data, mask)


def head(opcode: int, length: int, *, fin: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    first = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        return first + bytes([0x80 | length]) + mask
    if length < 1 << 16:
        return first + struct.pack("!BH", 0x80 | 126, length) + mask
    return first + struct.pack("!BQ", 0x80 | 127, length) + mask


def _mask(data: bytes, mask: bytes) -> bytes:
    if mask == NO_MASK or not data:
        return data
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


async def heard(reader: asyncio.StreamReader) -> Said | None:
    """The gateway's next frame, None at the end: never a fragment, never with a mask or a reserved bit."""
    begun = await reader.read(1)
    if not begun:
        return None
    first, length = begun + await reader.readexactly(1)
    assert first & 0xF0 == 0x80
    assert length < 0x80
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    return Said(first & 0x0F, await reader.readexactly(length))


def payload(digits: str, length: int | None = None) -> bytes:
    """A payload as the vectors have it: the whole of it, or a piece and how long it becomes."""
    piece = bytes.fromhex(digits)
    return piece if length is None else (piece * (length // len(piece) + 1))[:length]


def wire(step: list[list[Any]]) -> bytes:
    """What is sent in one go: frames, and parts of a frame that is not sent as one."""
    sent = b""
    for kind, *item in step:
        if kind == "part":
            length, digits = item
            sent += (head(TEXT, length, mask=NO_MASK) if length else b"") + bytes.fromhex(digits)
        else:
            fin, rsv, *data = item
            sent += masked(kind, payload(*data), fin=fin == 1, rsv=rsv)
    return sent


@asynccontextmanager
async def talk(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection behind its handshake."""
    async with dial(port) as (reader, writer):
        writer.write(HANDSHAKE)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"extensions" not in answer.lower(), "compression is never agreed on"
        yield reader, writer


async def ends(reader: asyncio.StreamReader, codes: list[int | None]) -> None:
    """A close frame with one of these codes, and then the end."""
    said = await heard(reader)
    assert said is not None, "a close frame, and not the end alone"
    assert said.opcode == CLOSE
    code = struct.unpack("!H", said.data[:2])[0] if said.data else None
    assert code in codes, f"{code} {said.data[2:]!r}"
    said.data[2:].decode()
    assert await heard(reader) is None, "nothing is said after a goodbye"


async def holds(port: int, name: str) -> None:
    """One case of the vectors."""
    case = CASES[name]
    steps, codes = case["send"], list(case["close"])
    said_goodbye = any(item[0] == CLOSE for step in steps for item in step)
    async with talk(port) as (reader, writer):
        # What cannot become text is refused at once: its end is never sent.
        for step in steps[:-1] if name.startswith("6.4.") else steps:
            writer.write(wire(step))
        for opcode, *data in case["expect"]:
            assert await heard(reader) == Said(opcode, payload(*data))
        if not said_goodbye and 1000 in codes:
            writer.write(masked(CLOSE, struct.pack("!H", 1000)))
        # An empty goodbye is answered by an empty one.
        await ends(reader, [None] if name == "7.3.1" else codes)


# -- the families ----------------------------------------------------------------------------------------------------


async def all_hold(names: Iterable[str]) -> None:
    wrong = []
    async with echo() as port:
        for name in names:
            try:
                await holds(port, name)
            except (AssertionError, TimeoutError, ConnectionError, asyncio.IncompleteReadError) as failure:
                wrong.append(f"{name} {CASES[name]['what']}: {failure!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("family", FAMILIES)
async def test_cases_of_the_vectors(family: str) -> None:
    """1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 10 many fragments."""
    await all_hold(FAMILIES[family])


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_closing_on_the_other_loop() -> None:
    """Loops differ in how a socket ends."""
    await all_hold(FAMILIES["7"])


def test_no_case_is_missing() -> None:
    """As many as the suite has, by family."""
    assert {family: len(names) for family, names in FAMILIES.items()} == {
        **{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "10": 1}
    }


# Family 9: number, length of the message, length of its fragments (None: one frame), pieces that are sent at a time.
LARGE: dict[str, tuple[int, int | None, int | None]] = {
    **{
        f"9.1.{at}": (size, None, None)
        for at, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB), 1)
    },
    **{f"9.3.{at}": (4 * MIB, 64 << 2 * (at - 1), None) for at in range(1, 10)},
    **{f"9.5.{at}": (MIB, None, 64 << (at - 1)) for at in range(1, 7)},
}
ROUNDS = {f"9.7.{at}": length for at, length in enumerate((0, 16, 64, 256, 1024, 4096), 1)}


KINDS = pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
# What a change need not wait for: megabytes, and thousands of fragments.
BY_DAY = [name for name, (length, fragment, _) in LARGE.items() if length <= MIB or (fragment or 0) >= 256 * KIB]


@KINDS
async def test_large_messages(opcode: int) -> None:
    """9.1 to 9.6: up to 4 MiB, in fragments and in slices of 64 bytes; each comes back as one frame."""
    await come_back(opcode, BY_DAY)


@pytest.mark.nightly
@KINDS
async def test_very_large_messages(opcode: int) -> None:
    """The same up to 16 MiB, and in 65,536 fragments."""
    await come_back(opcode, LARGE.keys() - BY_DAY)


async def come_back(opcode: int, names: Iterable[str]) -> None:
    async with echo() as port:
        for name in names:
            length, fragment, piece = LARGE[name]
            data = b"*" * length
            size = fragment or length
            sent = b"".join(
                masked(0 if at else opcode, data[at : at + size], fin=at + size >= length, mask=NO_MASK)
                for at in range(0, length, size)
            )
            async with talk(port) as (reader, writer):
                for at in range(0, len(sent), piece or len(sent)):
                    writer.write(sent[at : at + (piece or len(sent))])
                assert await heard(reader) == Said(opcode, data), name
                writer.write(masked(CLOSE, struct.pack("!H", 1000)))
                await ends(reader, [1000])


@KINDS
async def test_many_messages(opcode: int) -> None:
    """9.7 and 9.8: a hundred messages there and back, one after the other, for each of six lengths; the suite's own
    run has a thousand."""
    async with echo() as port:
        for name, length in ROUNDS.items():
            sent, back = masked(opcode, b"*" * length), Said(opcode, b"*" * length)
            async with talk(port) as (reader, writer):
                for _ in range(100):
                    writer.write(sent)
                    assert await heard(reader) == back, name
                writer.write(masked(CLOSE, struct.pack("!H", 1000)))
                await ends(reader, [1000])


@pytest.mark.nightly
@pytest.mark.timeout(300)
async def test_the_suite_itself(need: Callable[[str], str], process: Start, tmp_path: Path) -> None:
    """All 301 cases as the suite's own files have them: each is OK and closed OK, but the three that only inform."""
    async with echo() as port:
        program = await process(
            *(need("kosoku"), f"ws://127.0.0.1:{port}", "--exclude", "12.*", "--exclude", "13.*"),
            *("--parallelism", "8", "--outdir", tmp_path),
        )
        await program.ends(240.0)
    (agent,) = json.loads((tmp_path / "index.json").read_text()).values()
    verdicts = {name: (case["behavior"], case["behaviorClose"]) for name, case in agent.items()}
    assert len(verdicts) == 301
    others = {name: verdict for name, verdict in verdicts.items() if verdict != ("OK", "OK")}
    assert others == dict.fromkeys(("7.1.6", "7.13.1", "7.13.2"), ("INFORMATIONAL", "INFORMATIONAL"))

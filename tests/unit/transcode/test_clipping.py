"""Tests of the process that cuts clips: its words, and the real process with a real song.

Invariant under test: every order has its answer, whatever is wrong with the song; the process ends with its input, and
what libraries print is not in the files. The tests know nothing of how a clip is cut.
"""

import io
import subprocess
import sys
from collections.abc import Mapping

import pytest

from transcode.clipping import LENGTHS, Answer, Order, answer, packed, serve, unpacked
from transcode.edit import Edit
from transcode.spec import Wish
from transcode.wavheader import wav_header

SONG = wav_header(8000, 1) + bytes(range(250)) * 128
ORDER = Order(Edit(duration=0.5), "wav", Wish(), 600.0)


def answers(wire: bytes) -> list[tuple[Answer, bytes]]:
    found, source = [], io.BytesIO(wire)
    while lengths := source.read(LENGTHS.size):
        size, length = LENGTHS.unpack(lengths)
        found.append((unpacked(source.read(size), Answer), source.read(length)))
    return found


def test_an_order_survives_the_wire() -> None:
    """Edits and wishes with every kind of value, truth told apart from numbers."""
    for edit in (Edit(), Edit(1.5, 2, 0.1, 0.2, True, 0.0), Edit(normalize=-14.5), Edit(normalize=False)):
        order = Order(edit, "ogg", Wish(48000, 1, 64000, -16.0), 600.0)
        message = packed(order, b"abc")
        size, length = LENGTHS.unpack(message[: LENGTHS.size])
        assert length == 3
        assert len(message) == LENGTHS.size + size
        found = unpacked(message[LENGTHS.size :], Order)
        assert found == order
        assert type(found.edit.normalize) is type(edit.normalize)


@pytest.mark.parametrize(
    ("order", "song", "problem", "field", "says"),
    [
        (Order(Edit(start=99), "wav", Wish(), 600.0), SONG, "clip", "start", "only the first 2.000 s"),
        (Order(Edit(), "mp3", Wish(sample_rate=1), 600.0), SONG, "format", "sample_rate", "not 1"),
        (Order(Edit(), "mp3", Wish(), 600.0), b"<html>" * 20000, "failed", "", "no MPEG audio"),
        (Order(Edit(), "gramophone", Wish(), 600.0), SONG, "failed", "", "KeyError"),
    ],
)
def test_what_goes_wrong_is_told(order: Order, song: bytes, problem: str, field: str, says: str) -> None:
    """In words, with no file."""
    found, file = answer(order, song)
    assert (found.problem, found.field, file) == (problem, field, b"")
    assert says in found.message


def test_orders_are_answered_in_turn() -> None:
    """Until there are no more; one that is cut short is no order."""
    wire = packed(ORDER, SONG) + SONG
    broken = packed(Order(Edit(start=5), "wav", Wish(), 600.0), SONG) + SONG
    out = io.BytesIO()
    serve(io.BytesIO(wire + broken + wire + wire[:-5]), out)
    found = answers(out.getvalue())
    assert [reply.problem for reply, _ in found] == [None, "clip", None]
    assert found[0][1] == found[2][1] == wav_header(8000, 1, 8000) + SONG[44:8044]
    serve(io.BytesIO(wire[:3]), out)


def test_the_process(songs: Mapping[str, bytes]) -> None:
    """Started as the gateway starts it, with every warning an error; it cuts two clips and ends by itself."""
    order = Order(Edit(start=0.5, duration=1, loop_crossfade=0.2, normalize=True), "flac", Wish(), 600.0)
    wire = packed(order, songs["cbr128"]) + songs["cbr128"] + packed(ORDER, SONG) + SONG
    command = [sys.executable, "-W", "error", "-m", "transcode.clipping"]
    done = subprocess.run(command, input=wire, capture_output=True, timeout=50, check=True)
    assert done.stderr == b""
    (first, flac), (second, wav) = answers(done.stdout)
    assert first == second == Answer()
    assert flac[:4] == b"fLaC"
    assert int.from_bytes(flac[21:26], "big") & (1 << 36) - 1 == 35280
    assert wav[44:] == SONG[44:8044]


def test_whoever_asks_loads_no_codec() -> None:
    """What the gateway imports of this brings neither pydub nor numpy nor av with it."""
    code = "import sys, transcode.clipping; print(*({'pydub', 'av', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "\n"

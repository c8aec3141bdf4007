"""The form of a recording.

Invariant tested: what is written is read back, and a file with any mistake in it is refused with its line.
It must not know who records.
"""

from pathlib import Path

import pytest

from gateway.upstream.recording import (
    Answer,
    Piece,
    Recording,
    RecordingError,
    answer_line,
    data_line,
    end_line,
    head_line,
    read_flight,
)

HEAD = head_line(time="2026-05-06T07:08:09.123Z", model="m", mode="stream", request={"input": {"prompt": "雨"}})
ANSWER = answer_line(0.5, 200, {"server": "x"})
DATA = data_line(0.75, b"\0\xffdata\n")
END = end_line(2.0, "upstream_busy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def test_what_is_written_is_read(path: Path) -> None:
    """All of it, in its order, bytes as they were."""
    path.write_bytes(HEAD + ANSWER + DATA + data_line(0.75, b"") + END)
    assert read_flight(path) == Recording(
        time="2026-05-06T07:08:09.123Z",
        model="m",
        mode="stream",
        request={"input": {"prompt": "雨"}},
        answer=Answer(0.5, 200, {"server": "x"}),
        pieces=(Piece(0.75, b"\0\xffdata\n"), Piece(0.75, b"")),
        ended_at=2.0,
        error_code="upstream_busy",
    )


def test_a_line_is_what_the_page_says() -> None:
    """The form is one that other tools can read, whatever this code does."""
    assert ANSWER == b'{"t":0.5,"status":200,"headers":{"server":"x"}}\n'
    assert DATA == b'{"t":0.75,"data":"AP9kYXRhCg=="}\n'
    assert end_line(1.23456789, None) == b'{"t":1.234568,"end":null}\n'
    assert HEAD.startswith(b'{"wavegate_flight":1,"time":"2026-05-06T07:08:09.123Z","model":"m","mode":"stream","req')


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "first line is not the head"),
        (b"\xff\xfe\n", "first line is not the head"),
        (ANSWER + END, "first line is not the head"),
        (HEAD.replace(b":1,", b":2,") + END, "of version 2, not 1"),
        (HEAD, "was not finished"),
        (HEAD + END, "holds no answer"),
        (HEAD + ANSWER + DATA, "was not finished"),
        (HEAD + ANSWER + DATA[:-9], "line 3, cannot be read"),
        (HEAD + ANSWER + b"{}\n" + END, "line 3, cannot be read"),
        (HEAD + ANSWER + b'{"t":1}\n' + END, "line 3, does not belong"),
        (HEAD + b'{"t":1,"status":99}\n' + END, "line 2, does not belong"),
        (HEAD + DATA + END, "line 2, does not belong"),
        (HEAD + ANSWER + ANSWER + END, "line 3, does not belong"),
        (HEAD + ANSWER + DATA + ANSWER + END, "line 4: its time"),
        (HEAD + b'{"t":-1,"status":200}\n' + END, "line 2: its time"),
        (HEAD + ANSWER + END + DATA, "line 4, stands after the end"),
    ],
)
def test_mistakes_are_named(path: Path, content: bytes, says: str) -> None:
    """Each with the file and, behind the head, the line."""
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says) as error:
        read_flight(path)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, or a directory."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(RecordingError, match="cannot be read"):
            read_flight(path)

"""What one song answers, and what it is said to take where it does not.

Invariant under test: each question is there every time, and an answer comes from what was seen alone.
It must not know how questions are laid out.
"""

from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.protocol.fun_music import LEGACY_PATH
from gateway.upstream.probe.findings import Findings, find
from gateway.upstream.probe.questions import Question, questions, split
from tests.support.relay import mp3_frames, wav
from tests.unit.gateway.upstream.probe.conftest import Bought, mp3_song

BETTER = b"\xff\xfb\xb0\x64" + bytes(622)  # 192 kbit/s
SONG = b"".join(mp3_song().values())
TAG = b"ID3\x04\x00\x00\x00\x00\x00\x05hello"
BROKEN = UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")


def asked(found: Findings, topic: str) -> Question:
    (row,) = [row for row in questions(found) if row.topic.startswith(topic)]
    return row


def test_a_good_song_answers_most(bought: Bought) -> None:
    """Each is answered or says what it takes, and the topics are the same for every song."""
    good = questions(find(bought(file=SONG)))
    nothing = questions(find(bought({}, whole=False, failure=BROKEN)))
    assert [row.topic for row in good] == [row.topic for row in nothing]
    answered, others = split(good)
    assert len(answered) + len(others) == len(good) == 15
    assert all(row.instead for row in others)
    assert [row.topic for row in answered] == [
        "First sound, slices, pace",
        "MP3: bitrate, tags, frames",
        "x-dashscope-timeout",
        "Values of finish_reason",
        "The file behind the url",
        "What is billed",
    ]


@pytest.mark.parametrize(
    ("slices", "answer"),
    [
        (mp3_song(), "first sound after 1.0 s; 4 slices of about 4,170 bytes every 1.00 s; 0.26 times real time"),
        ({2.0: mp3_song()[1.0]}, "first sound after 2.0 s; 1 slice of about 4,170 bytes; 0.13 times real time"),
    ],
)
def test_the_pace_is_told(bought: Bought, slices: dict[float, bytes], answer: str) -> None:
    """One slice has no gaps."""
    assert asked(find(bought(slices)), "First").answer == f"{answer} over the whole call"


@pytest.mark.parametrize(
    ("slices", "answer"),
    [
        (mp3_song(), "constant 128 kbit/s; no ID3v2 tag; no Xing or Info frame; all cuts are between frames"),
        (
            {1.0: TAG, 2.0: b"".join(mp3_frames(2)) + b"\xff", 3.0: BETTER[1:] + BETTER},
            "variable, 128 to 192 kbit/s, 160 on average; an ID3v2 tag of 15 bytes; no Xing or Info frame; "
            "1 of 2 cuts are between frames",
        ),
        (
            {1.0: (mp3_frames(1)[0][:4] + bytes(32) + b"Xing").ljust(417, b"\0") + b"".join(mp3_frames(4))},
            "constant 128 kbit/s; no ID3v2 tag; a Xing frame; a single slice",
        ),
    ],
)
def test_an_mp3_is_told(bought: Bought, slices: dict[float, bytes], answer: str) -> None:
    """Bitrate, tag, index and where it is cut."""
    assert asked(find(bought(slices)), "MP3").answer == answer


def test_a_wav_is_told(bought: Bought) -> None:
    """Its header, whether its sizes are true, and where it is cut; each format asks for the other."""
    song = wav(24000)
    found = find(bought({1.0: song[:44], 2.0: song[44:]}, form="wav"))
    answer = "RIFF of 44 bytes (fmt, data); the declared size is true; 48,000 bytes of samples came"
    assert asked(found, "WAV").answer == f"{answer}; all cuts are between samples"
    assert "--format mp3" in asked(found, "MP3").instead
    assert "--format wav" in asked(find(bought()), "WAV").instead


@pytest.mark.parametrize(
    ("first", "comments", "answer"),
    [
        (1.0, (), None),
        (1.0, (0.7,), "1 comment in all; 0 in the longest silence, 3.0 s"),
        (8.0, (), "0 comments in all; 0 in the longest silence, 7.5 s"),
        (8.0, (2.0, 5.0), "2 comments in all; 2 in the longest silence, 7.5 s"),
    ],
)
def test_heartbeats_are_told_when_they_were_due(
    bought: Bought, first: float, comments: tuple[float, ...], answer: str | None
) -> None:
    """A song without silence and without comments tells nothing about them."""
    slices = {first: SONG} | ({3.0: SONG, 6.0: SONG} if first < 3 else {})
    assert asked(find(bought(slices, comments=comments)), "Heartbeats").answer == answer


def test_who_leaves_is_told_what_to_look_for(bought: Bought) -> None:
    """The request id, in the bill."""
    assert "r1" in asked(find(bought(whole=False)), "The bill after").instead
    assert "Ctrl-C" in asked(find(bought()), "The bill after").instead


def test_the_time_budget_is_a_header(bought: Bought) -> None:
    """Not sent is an answer; no answer is none."""
    assert asked(find(bought(headers={"x-dashscope-timeout": "600"})), "x-dash").answer == "600"
    assert asked(find(bought()), "x-dash").answer == "not sent"
    purchase = bought({}, whole=False)
    purchase.answer = None
    assert asked(find(purchase), "x-dash").answer is None


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({}, "still sings"),
        ({"slices": {}, "whole": False, "failure": BROKEN, "status": 404}, "answers with 404"),
        ({"slices": {}, "whole": False, "failure": BROKEN}, None),
        ({"slices": {}, "whole": False}, None),
    ],
)
def test_the_older_path_answers_for_itself(bought: Bought, options: dict[str, Any], answer: str | None) -> None:
    """Only a probe of that path tells about it."""
    assert asked(find(bought(**options)), "The older").answer is None
    assert asked(find(bought(settings={"path": LEGACY_PATH}, **options)), "The older").answer == answer


def test_an_error_after_sound_is_told(bought: Bought) -> None:
    """By the provider's code where it sent one, and whether it told the usage."""
    broken = bought(whole=False, failure=BROKEN)
    assert asked(find(broken), "Errors").answer == "upstream_interrupted after 1.0 s of sound, without usage"
    broken.log.feed(5.0, b'event:error\ndata:{"code":"Throttling","usage":{"duration":1}}\n\n')
    assert asked(find(broken), "Errors").answer == "an error event (Throttling) after 1.0 s of sound, with usage"
    assert asked(find(bought()), "Errors").answer is None


def test_reasons_are_counted(bought: Bought) -> None:
    """As JSON has them."""
    assert asked(find(bought()), "Values").answer == '"null" 4 x, "stop" 1 x'
    assert asked(find(bought({}, whole=False)), "Values").answer is None


@pytest.mark.parametrize(
    ("alpn", "answer"),
    [
        (None, None),
        ("h2", "offered; this call spoke HTTP/1.1"),
        ("http/1.1", "not offered; this call spoke HTTP/1.1"),
        ("none", "not negotiated; this call spoke HTTP/1.1"),
    ],
)
def test_http2_is_the_hosts_choice(bought: Bought, alpn: str | None, answer: str | None) -> None:
    """From the handshake; the call itself may be another."""
    purchase = bought()
    purchase.alpn = alpn
    assert asked(find(purchase), "HTTP/2").answer == answer
    purchase.answer = None
    assert asked(find(purchase), "HTTP/2").answer == (answer and answer.partition(";")[0])


@pytest.mark.parametrize(
    ("file", "answer"),
    [
        (SONG, "identical to the joined slices"),
        (TAG + SONG, "the same from the first frame on; what stands before differs"),
        (
            (SONG[:4] + bytes(32) + b"Info").ljust(417, b"\0") + SONG,
            "the same from the first sounding frame on; tag or index differ",
        ),
        (SONG + b"tail", "the same up to byte 16,680 (1.04 s), then it has 4 bytes more"),
        (SONG[:-1], "the same up to byte 16,679 (1.02 s), then it has 1 bytes fewer"),
        (b"page", "differs from byte 0 on, and has 16,676 bytes fewer"),
    ],
)
def test_the_file_is_compared(bought: Bought, file: bytes, answer: str) -> None:
    """In words that go on a sentence."""
    assert asked(find(bought(file=file)), "The file").answer == answer


def test_why_there_is_no_file_is_told(bought: Bought) -> None:
    """No url, a failure, or it was left."""
    assert asked(find(bought(whole=False)), "The file").instead == "no url came"
    purchase = bought()
    assert asked(find(purchase), "The file").instead == "it was not fetched"
    purchase.file_failure = "The connection failed (OSError)."
    assert asked(find(purchase), "The file").instead == "The connection failed (OSError)."


def test_the_bill_is_told_beside_the_sound(bought: Bought) -> None:
    """Where there was any."""
    assert asked(find(bought()), "What is").answer == "200 s for 1.04 s of sound"
    assert asked(find(bought({})), "What is").answer == "200 s"
    assert asked(find(bought(whole=False)), "What is").answer is None

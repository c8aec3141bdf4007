"""The report as a text and as files.

Invariant under test: no line is wider than 80 columns, nothing that is secret is in either, and nothing is overwritten.
It must not know how the numbers were found.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.secret import Secret
from gateway.errors import UpstreamError
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe.delivery import Moment
from gateway.upstream.probe.findings import Findings, find
from gateway.upstream.probe.purchase import Purchase
from gateway.upstream.probe.report import WIDTH, Discretion, arrival, document, names, save, text
from tests.support.relay import mp3_frames, wav
from tests.unit.gateway.upstream.probe.conftest import PROMPT, Bought, mp3_song

KEY = "very-secret-key"
DISCRETION = Discretion([Secret(KEY)], PROMPT)
SONG = b"".join(mp3_song().values())
BROKEN = UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")


def told(found: Findings) -> str:
    """The text, which is held to its width and to its discretion."""
    report = text(found, DISCRETION)
    assert report.endswith("\n")
    assert max(map(len, report.splitlines())) <= WIDTH
    for secret in (KEY, PROMPT, "sesame", "Signature"):
        assert secret not in report
        assert secret not in document(found, DISCRETION).decode()
    return report


def row(report: str, label: str) -> str:
    """What stands beside a label, its lines joined."""
    match = re.search(rf"^  {re.escape(label)} +(\S.*(?:\n {{19}}.*)*)", report, re.MULTILINE)
    assert match is not None, f"there is no {label}"
    return re.sub(r"\s+", " ", match[1])


def test_a_whole_song_is_reported(bought: Bought) -> None:
    """In blocks, each with its rows."""
    report = told(find(bought(file=SONG, headers={"server": "istio", "x-request-id": "r1"})))
    assert re.findall(r"^\S.*", report, re.MULTILINE) == [
        report.splitlines()[0],
        "How it began (seconds after the call)",
        "How the sound came",
        "What the sound is",
        "What the provider said",
        "The file behind the result url",
        "Answered by this song",
        "Not answered by this song",
    ]
    assert report.splitlines()[0].endswith("probe: one song from dashscope.aliyuncs.com")
    assert row(report, "outcome") == "finished"
    assert row(report, "cost") == "200 s billed, 0.400 CNY"
    assert row(report, "answer") == "0.500 HTTP/1.1, status 200"
    assert row(report, "slices") == "4 with 16,680 bytes, 1.04 s of sound"
    assert row(report, "alignment") == "all cuts are between frames"
    assert row(report, "times real time").startswith("25 % at once · 50 % 0.52 · 75 % 0.39 · 100 % 0.35 0.26 over")
    assert row(report, "head start").startswith("a player that starts 2.22 s after")
    assert row(report, "bitrate") == "127.7 kbit/s on average constant (frames by kbit/s: 128: 40)"
    assert row(report, "finish_reason") == '"null" 4, "stop" 1'
    assert row(report, "extra_info").endswith("channels integer, lyrics string, sample_rate string")
    assert row(report, "usage") == '{"duration":200} duration integer'
    assert row(report, "headers") == "server: istio x-request-id: r1"
    assert row(report, "other headers") == "vary"
    assert row(report, "place") == "http://bucket.oss.aliyuncs.com/..."
    assert row(report, "expires") == "2027-01-15 08:00 UTC"
    assert row(report, "fetched") == "16,680 bytes in 0.50 s"
    assert row(report, "the file is") == "identical to the joined slices"


def test_an_mp3_with_everything_is_reported(bought: Bought) -> None:
    """Tag, index, encoder, several bitrates, and what is no frame."""
    index = (SONG[:4] + bytes(32) + b"Info" + bytes(8) + b"LAME3.100").ljust(417, b"\0")
    better = b"\xff\xfb\xb0\x64" + bytes(622)
    report = told(find(bought({1.0: b"ID3\x04\x00\x00\x00\x00\x00\x05hello" + index + SONG + better + b"tail"})))
    assert row(report, "bitrate").endswith("variable (frames by kbit/s: 128: 40, 192: 1)")
    assert row(report, "ID3v2 tag") == "15 bytes"
    assert row(report, "index frame") == "Info by LAME3.100"
    assert row(report, "not frames") == "0 bytes between frames, 4 after the last"


def test_a_wav_is_reported(bought: Bought) -> None:
    """Its header and sizes; rows that are for mp3 are not there."""
    report = told(find(bought({1.0: wav(24000)}, form="wav")))
    assert row(report, "coding") == "pcm_s16le, 24,000 Hz, mono"
    assert row(report, "header") == "RIFF, 44 bytes: fmt, data"
    assert row(report, "declared sizes").endswith("the declared size is true; 48,000 came")
    assert "ID3v2" not in report.partition("Not answered")[0]


def test_bytes_that_are_no_song_are_reported(bought: Bought) -> None:
    """As that, without a speed."""
    report = told(find(bought({1.0: b"x" * 70_000, 2.0: b"y"})))
    assert row(report, "coding") == "neither mp3 nor wav that can be read"
    assert "times real time  " not in report
    assert "alignment  " not in report


def test_several_data_lines_are_reported(bought: Bought) -> None:
    """Only where there are any."""
    purchase = bought()
    assert "several data lines" not in told(find(purchase))
    purchase.log.multiline = 2
    assert "2 events with several data lines" in told(find(purchase))


def test_a_fast_song_is_told_in_round_numbers(bought: Bought) -> None:
    """Two decimals mean nothing at a hundred times real time."""
    report = told(find(bought({0.5: SONG, 0.51: SONG})))
    assert "100 % 209" in row(report, "times real time")


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ({"simulated": True}, "nothing: a simulator sang"),
        ({"model": "cosyvoice-v3-flash"}, "200 s billed"),
        ({"whole": False, "slices": {}, "failure": BROKEN, "status": 401}, "nothing should be: the call was refused"),
        ({"whole": False}, "unknown: the provider may still charge for this song"),
    ],
)
def test_the_cost_is_told_as_far_as_it_is_known(bought: Bought, options: dict[str, object], cost: str) -> None:
    """Of a song that was left, nobody knows."""
    assert row(told(find(bought(**options))), "cost") == cost


def test_a_call_that_was_never_sent_is_short(bought: Bought) -> None:
    """It cost nothing, and no question is listed that it had no chance to answer."""
    whole = bought()
    purchase = Purchase(whole.config, ProviderKey(KEY), whole.song)
    error = UpstreamError("upstream_unavailable", "The provider cannot be reached. Try again later.")
    error.add_note(f"OSError: no route for Bearer {KEY}")
    purchase.failure = error
    report = told(find(purchase))
    assert row(report, "cost") == "nothing: the call was never sent"
    assert row(report, "error").startswith("upstream_unavailable: The provider cannot be reached.")
    assert row(report, "because") == "OSError: no route for Bearer ***"
    assert "answered by" not in report.lower()


def test_a_refusal_is_reported_with_their_code(bought: Bought) -> None:
    """Our sentence, the provider's code, the request id."""
    purchase = bought({}, whole=False, failure=BROKEN, status=401, headers={"x-request-id": "r7"})
    purchase.log.feed(1.0, b'{"code":"InvalidApiKey","message":"their words"}')
    report = told(find(purchase))
    assert row(report, "provider's code") == "401 InvalidApiKey"
    assert row(report, "request id") == "r7"
    assert "their words" not in report


def test_a_file_that_is_not_there_is_reported(bought: Bought) -> None:
    """With the reason; a strange url has no place, a strange time no date."""
    purchase = bought()
    assert row(told(find(purchase)), "not fetched") == "the probe was stopped before"
    purchase.file_failure = "The connection failed (OSError)."
    purchase.log.expires_at = -5
    found = find(purchase)
    assert found.result is not None
    report = told(replace(found, result=replace(found.result, host="")))
    assert row(report, "not fetched") == "The connection failed (OSError)."
    assert row(report, "place") == "not a url"
    assert "  expires" not in report


def test_a_secret_is_hidden_wherever_it_comes_from(bought: Bought) -> None:
    """A provider that echoes the key or the prompt in a header is not repeated."""
    report = told(find(bought(headers={"server": KEY, "via": f"about {PROMPT}"})))
    assert row(report, "headers") == "server: *** via: about ***"
    assert Discretion([], None).keep("a b") == "a b"


def test_arrival_is_a_line() -> None:
    """A place for a stretch of time, its height the bytes in it; silence is blank, and the last slice ends it."""
    moments = [Moment(at, size, 0, 0.0) for at, size in ((5.0, 8), (7.0, 1), (10.0, 4))]
    assert arrival(moments, 10) == "     █ ▁ ▄"
    assert arrival([Moment(0.0, 3, 3, 0.0)], 4) == "█"


def test_files_are_saved_once(bought: Bought, tmp_path: Path) -> None:
    """The report, the slices, the file only if it is another; never over what is there."""
    found = find(bought(file=SONG + b"tail"))
    saved = save(tmp_path, found, SONG, SONG + b"tail", DISCRETION)
    assert [path.name for path in saved] == list(names("mp3")) == ["report.json", "slices.mp3", "result.mp3"]
    read = json.loads(saved[0].read_bytes())
    assert read["delivery"]["timeline"][1] == {
        "at": 2.0,
        "bytes": 4170,
        "total": 8340,
        "seconds": pytest.approx(0.52, abs=0.01),
    }
    assert read["outcome"] == "finished"
    assert len(read["questions"]) == 15
    assert saved[1].read_bytes() == SONG
    assert saved[2].read_bytes() == SONG + b"tail"
    with pytest.raises(FileExistsError):
        save(tmp_path, found, b"", None, DISCRETION)
    other = tmp_path / "other"
    other.mkdir()
    assert [path.name for path in save(other, found, SONG, SONG, DISCRETION)] == ["report.json", "slices.mp3"]


def test_a_song_of_many_slices_keeps_its_width(bought: Bought) -> None:
    """The widest row is the arrival."""
    frames = mp3_frames(500)
    told(find(bought({number / 10 + 1: frame for number, frame in enumerate(frames)})))

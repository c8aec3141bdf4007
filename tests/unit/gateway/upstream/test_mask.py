"""What must not be kept.

Invariant tested: nothing secret is left, nothing else is touched, and slices make no difference.
It must not know recordings.
"""

import base64
import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secret import Secret
from gateway.protocol.dashscope import delta_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.mask import LEAST_BEGUN, Mask
from tests.support.wire import stop_payload

URL = "http://bucket.oss-cn-beijing.aliyuncs.com/a/b.mp3?Expires=1774937185&OSSAccessKeyId=LTAI5t&Signature=a%2Fb%3D"
STOP = stop_payload(
    request_id="r-1", expires_at=7, url=URL, channels=2, sample_rate="48000", lyrics='[verse]\n"雨" la\\', duration=9
)
DELTA = delta_payload(request_id="r-1", expires_at=7, data=random.Random(1).randbytes(3000))
STREAM = encode_event(1, "result", 200, DELTA) + encode_event(2, "result", 200, STOP)
KEY = "plain/key-5f0c88d1e2"


def masked(data: bytes, *cuts: int, words: bool = False) -> bytes:
    """The bytes cut at these places, through one mask."""
    mask = Mask(words=words)
    places = [0, *sorted(cuts), len(data)]
    return b"".join(mask.feed(data[a:b]) for a, b in pairwise(places))


def test_a_stop_event_loses_its_secrets_and_nothing_else() -> None:
    """The url's query and the lyrics are zeros, as long as they were; the document is JSON and all else as it was."""
    said = json.loads(masked(STOP))
    usual = json.loads(STOP)
    assert said["output"]["audio"].pop("url") == URL.partition("?")[0] + "?" + "0" * len(URL.partition("?")[2])
    assert set(said["output"]["extra_info"].pop("lyrics")) == {"0"}
    del usual["output"]["audio"]["url"], usual["output"]["extra_info"]["lyrics"]
    assert said == usual
    assert len(masked(STOP)) == len(STOP)


def test_words_may_be_kept() -> None:
    """The lyrics stay, the signature never."""
    said = json.loads(masked(STOP, words=True))
    assert said["output"]["extra_info"]["lyrics"] == '[verse]\n"雨" la\\'
    assert "Signature" not in said["output"]["audio"]["url"]


def test_audio_is_untouched() -> None:
    """Whatever the audio is, its base64 goes through as it is."""
    for seed in range(20):
        audio = base64.b64encode(random.Random(seed).randbytes(5000))
        assert masked(audio) == audio
    assert masked(DELTA) == DELTA


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_slices_make_no_difference(cuts: list[int]) -> None:
    """Cut anywhere, the same bytes come out."""
    assert masked(STREAM, *cuts) == masked(STREAM)


def test_byte_by_byte() -> None:
    """The same in the smallest slices there are, in all line ends and with a document over many lines."""
    pretty = json.dumps(json.loads(STOP), indent=1, ensure_ascii=False).encode()
    for data in (STREAM, STREAM.replace(b"\n", b"\r\n"), encode_event(1, "result", 200, pretty)):
        out = masked(data, *range(1, len(data)))
        assert out == masked(data)
        assert b"Signature" not in out
        assert "雨".encode() not in out


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (rb'"http:\/\/h\/a?x=1\u0026Signature=2","b"', rb'"http:\/\/h\/a?000\u000000000000000","b"'),
        (rb'"https://h/a\u003fSignature=1"', rb'"https://h/a\u000000000000000"'),
        (rb'{"m":"{\"url\":\"http://h/a?Sig=1\"}"}', rb'{"m":"{\"url\":\"http://h/a?00000\"}"}'),
        (rb'"http://h/a?b\/c"', rb'"http://h/a?0\/0"'),
        (rb'"http://h/a" "what?"', rb'"http://h/a" "what?"'),
        (rb'"http://h/a\nwhat?"', rb'"http://h/a\nwhat?"'),
        (b"see http://h/a?key=1 and http://h/b?key=2.", b"see http://h/a?00000 and http://h/b?000000"),
        (b'"Incorrect API key provided: sk-1234****abcd."', b'"Incorrect API key provided: sk-0000000000000"'),
        (b'"Authorization: Bearer abc.def" "x"', b'"Authorization: Bearer 0000000" "x"'),
        (b"task-based", b"task-based"),
        (b'"lyrics" : "a\\"b", "c":"d"', b'"lyrics" : "0000", "c":"d"'),
        (b'"original_text":"ab","text":"c"', b'"original_text":"00","text":"0"'),
        (b'"lyrics":\ndata: "ab"', b'"lyrics":\ndata: "00"'),
        (b'"prompt":"ab"', b'"prompt":"00"'),
        (b'"lyrics":null,"message":"ab"', b'"lyrics":null,"message":"ab"'),
        (b"", b""),
    ],
)
def test_what_is_overwritten(given: bytes, kept: bytes) -> None:
    """Queries, keys and words in each way to write them, and nothing that only looks like it."""
    assert masked(given) == kept
    assert masked(given, *range(1, len(given))) == kept


@pytest.mark.parametrize("cuts", [(), (3, 9, 30, 31, 60), tuple(range(1, 100))])
def test_a_known_key_is_overwritten_whatever_it_looks_like(cuts: tuple[int, ...]) -> None:
    """However it is cut, no more of it is left than could stand there by chance, and not a byte comes or goes."""
    said = f'{{"message":"Incorrect API key provided: {KEY}.","again":"{KEY}{KEY}"}}'.encode()
    mask = Mask(known=lambda: [Secret(KEY), Secret("")])
    places = [0, *[cut for cut in cuts if cut < len(said)], len(said)]
    out = b"".join(mask.feed(said[a:b]) for a, b in pairwise(places))
    assert len(out) == len(said)
    assert KEY[: LEAST_BEGUN + 1].encode() not in out
    assert KEY[-4:].encode() not in out
    assert json.loads(out).keys() == {"message", "again"}
    assert out.startswith(b'{"message":"Incorrect API key provided: ')


def test_a_key_that_becomes_known_is_overwritten_from_then_on() -> None:
    """A rotated one; and audio stays as it is beside it."""
    known: list[Secret] = []
    mask = Mask(known=lambda: known)
    assert mask.feed(f"a {KEY}".encode()) == f"a {KEY}".encode()
    known.append(Secret(KEY))
    assert mask.feed(f"b {KEY}".encode()) == b"b " + b"0" * len(KEY)
    audio = base64.b64encode(random.Random(7).randbytes(5000))
    assert mask.feed(audio) == audio

"""What stands in Redis and comes from other nodes: letters, entries of logs, their numbers.

Invariant under test: octets that nobody here has written are no letter (None) or a ValueError, never another error;
what is read is written the same again.
"""

from gateway.cluster import letter
from gateway.cluster.letter import Letter, Refusal
from gateway.cluster.logs import number_of
from gateway.errors import LimitError, ServiceError, WavegateError
from gateway.model import Chunk, Flag, Position, StreamId, TenantId
from gateway.relay import letters, neighbours
from gateway.relay.outcome import Outcome
from tests.fuzz.target import Target
from tests.support.relay import RENDITION
from transcode.formats import MP3, StreamFormat

_KINDS: tuple[type[letters.Letter], ...] = (
    letters.Trouble,
    letters.Facts,
    letters.FactsList,
    letters.Name,
    letters.Listing,
    letters.Want,
    letters.Published,
    letters.HeardList,
    letters.Sharing,
    letters.Crowds,
)


def post(data: bytes) -> None:
    """A letter is read or is None; its refusal can be raised; written, it is the same letter again."""
    found = letter.read(data)
    if found is None:
        return
    if found.refusal is not None:
        assert isinstance(found.refusal.error(), WavegateError)
    again = letter.read(letter.write(found))
    assert again is not None
    assert letter.write(again) == letter.write(found)


def log(data: bytes) -> None:
    """An entry of a log is one of the four kinds or a ValueError; of a chunk no octet is lost."""
    try:
        entry = letters.read_entry(data)
    except ValueError:
        return
    if isinstance(entry, letters.ChunkEntry):
        chunk = Chunk(RENDITION, entry.seq, entry.pts, entry.duration, entry.payload, flags=entry.flags)
        assert letters.chunk_entry(chunk) == data
    elif isinstance(entry, letters.News):
        assert letters.news_entry(entry.text) == data
    else:
        again = letters.read_entry(data[:1] + entry.octets())
        assert isinstance(again, letters.Opened | letters.Ended)
        assert again.octets() == entry.octets()
    if isinstance(entry, letters.Ended):
        assert isinstance(entry.outcome(StreamId("st_1")), Outcome)


def body(data: bytes) -> None:
    """The body of a letter of any kind is read or a ServiceError; the number of an entry is one or a ValueError."""
    for kind in _KINDS:
        try:
            found = neighbours.read(kind, data)
        except ServiceError:
            continue
        octets = found.octets()
        assert neighbours.read(kind, octets).octets() == octets
    try:
        assert isinstance(number_of(data), int)
    except ValueError:
        return


_CHUNK = Chunk(RENDITION, 7, 9, 1152, b"sound", flags=Flag.LAST)
_NO = Refusal.of(LimitError("rate_exceeded", "Too fast.", retry_after=1.0))
_WANT = letters.Want(stream_id=StreamId("st_1"), wishes=[], position=Position(1, 2))

_TOKENS = (
    *(b"\x81", b"\x91" * 200, b"\x81\xa1a" * 200, b"\xc0", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xcf" + b"\xff" * 8),
    *(b"\xa1\xff", b"\xd9\xff", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc4\0"),
    *(b"\xa9stream_id", b"\xa6tenant", b"\xa4code", b"\xa7message", b"\xa4form", b"\xa4init", b"12-0"),
)

TARGETS = (
    Target(
        "letters",
        post.__doc__ or "",
        post,
        (letter.write(Letter("n_1", "facts", 3, b"body", None, 5.0)), letter.write(Letter("n_1", "", 3, b"", _NO))),
        _TOKENS,
    ),
    Target(
        "logs",
        log.__doc__ or "",
        log,
        (
            letters.opened_entry(StreamFormat(MP3, 44100, 2, 128000), b"init", 0, 0),
            letters.chunk_entry(_CHUNK),
            letters.news_entry(b"\x81\x02{}"),
        ),
        (b"\1", b"\2", b"\3", b"\4", *_TOKENS),
    ),
    Target(
        "bodies",
        body.__doc__ or "",
        body,
        (_WANT.octets(), letters.Listing(tenant=TenantId("acme")).octets(), b"15-0"),
        _TOKENS,
    ),
)

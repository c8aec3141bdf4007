"""What must not be kept of a provider's answer, overwritten while it goes by in arbitrary slices.

Invariant: as many bytes come out as went in, however they were sliced, and JSON stays JSON. Overwritten are the queries
of urls, because a signed url opens what it names; keys, those that are known as such whatever they look like; and the
texts of songs and speech unless they may be kept.
Audio in base64 stays untouched, because none of the marks that are looked for can be written in it.
It must not know where the bytes come from.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from enum import Enum, auto

from gateway.config.secret import Secret


class _Part(Enum):
    """What the bytes belong to. The escapes are the one byte behind a backslash."""

    PLAIN = auto()
    URL = auto()
    URL_ESCAPE = auto()
    QUERY = auto()
    QUERY_ESCAPE = auto()
    KEY = auto()
    WORDS = auto()
    WORDS_ESCAPE = auto()


# Between the parts of a field: white space, and the line break of an event whose document goes over several lines.
_GAP = rb"(?:\s|data:){0,8}"
_MARKS = rb"(?P<URL>:(?:\\?/){2})|(?P<KEY>(?<![A-Za-z0-9])sk-|[Bb]earer )"
_WORDS = rb'|(?P<WORDS>"(?:lyrics|prompt|text|original_text)"' + _GAP + rb":" + _GAP + rb'")'
_LONGEST_MARK = 100
# One of these is in every mark. To look for them takes 20 µs where the pattern takes 220 for a slice of 6 KB, and in
# audio there are none.
_HINTS = (b"://", b":\\/", b"sk-", b"earer ", b'"lyrics"', b'"prompt"', b'text"')

# So many first bytes of a known secret at the end of a slice are its beginning: fewer may stand there by chance.
LEAST_BEGUN = 8
# Keys that are longer are found where they are whole in a slice.
_LONGEST_SECRET = 4096

# Part -> how far it goes without a change, and whether it is overwritten.
_RUNS: dict[_Part, tuple[re.Pattern[bytes], bool]] = {
    _Part.URL: (re.compile(rb'[^?"\s\\<>]*'), False),
    _Part.QUERY: (re.compile(rb'[^"\s\\<>]*'), True),
    _Part.KEY: (re.compile(rb"[\w.*~+/=-]*"), True),
    _Part.WORDS: (re.compile(rb'[^"\\]*'), True),
}
# Part and the byte that ended its run, or the byte of an escape -> the next part; plain for any other byte.
_NEXT: dict[tuple[_Part, bytes], _Part] = {
    (_Part.URL, b"?"): _Part.QUERY,
    (_Part.URL, b"\\"): _Part.URL_ESCAPE,
    (_Part.URL_ESCAPE, b"/"): _Part.URL,
    # Whatever is escaped by its number in a url, it may be the mark before the query.
    (_Part.URL_ESCAPE, b"u"): _Part.QUERY,
    (_Part.QUERY, b"\\"): _Part.QUERY_ESCAPE,
    (_Part.QUERY_ESCAPE, b"u"): _Part.QUERY,
    (_Part.QUERY_ESCAPE, b"/"): _Part.QUERY,
    (_Part.WORDS, b"\\"): _Part.WORDS_ESCAPE,
}


def nothing_known() -> Collection[Secret]:
    """No secret is known as such."""
    return ()


class Mask:
    """Feed it the slices of one answer. `words` tells that lyrics, prompts and texts may be kept.

    `known` gives the secrets that are overwritten wherever they stand; of one that is cut by the end of a slice up to
    `LEAST_BEGUN` - 1 bytes may stay.
    """

    def __init__(self, *, words: bool = False, known: Callable[[], Collection[Secret]] = nothing_known) -> None:
        self._marks = re.compile(_MARKS if words else _MARKS + _WORDS)
        self._known = known
        self._gone = b""  # the end of all that has gone by: a known secret may have begun in it
        self._part = _Part.PLAIN
        self._seen = b""  # the end of the plain bytes that have gone by: a mark may have begun in them

    def feed(self, data: bytes) -> bytes:
        """The slice with what must not be kept overwritten by zeros."""
        return self._without_known(data, self._without_marked(data))

    def _without_known(self, data: bytes, out: bytes) -> bytes:
        """`out`, which came of `data`, without the secrets that are known by themselves."""
        secrets = {form for one in self._known() for form in _forms(one)}
        if not secrets:
            return out
        buffer, before = self._gone + data, len(self._gone)
        hidden = bytearray(out)
        for secret in secrets:
            for at in _places(secret, buffer):
                begin, end = max(at - before, 0), min(at + len(secret), len(buffer)) - before
                # Of one that went by as a whole before there is nothing to hide any more.
                if begin < end:
                    hidden[begin:end] = b"0" * (end - begin)
        self._gone = buffer[-_LONGEST_SECRET:]
        return bytes(hidden)

    def _without_marked(self, data: bytes) -> bytes:
        buffer = self._seen + data
        if self._part is _Part.PLAIN and not any(hint in buffer for hint in _HINTS):
            self._seen = buffer[-_LONGEST_MARK:]
            return data
        seen = len(self._seen)
        out = bytearray(data)
        at, plain = seen, 0
        while at < len(buffer):
            if self._part is _Part.PLAIN:
                mark = self._mark(buffer, plain, at)
                at, self._part = (len(buffer), _Part.PLAIN) if mark is None else mark
                continue
            start = at
            at, hidden = self._follow(buffer, at)
            if hidden:
                out[start - seen : at - seen] = b"0" * (at - start)
            plain = at
        self._seen = buffer[max(plain, len(buffer) - _LONGEST_MARK) :] if self._part is _Part.PLAIN else b""
        return bytes(out)

    def _mark(self, buffer: bytes, plain: int, at: int) -> tuple[int, _Part] | None:
        """Where the first mark ends that does so behind `at`, and what it begins."""
        for found in self._marks.finditer(buffer, plain):
            if found.end() > at:
                return found.end(), _Part[str(found.lastgroup)]
        return None

    def _follow(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """One step through a part that is not plain: where it ends, and whether it is to be overwritten."""
        part = self._part
        if part is _Part.WORDS_ESCAPE:
            self._part = _Part.WORDS
            return at + 1, True
        if part in _RUNS:
            run, hidden = _RUNS[part]
            end = run.match(buffer, at).end()  # type: ignore[union-attr]  # it matches nothing at least
            if end > at:
                return end, hidden
        following = _NEXT.get((part, buffer[at : at + 1]))
        self._part = following or _Part.PLAIN
        # The backslash of an escaped letter goes with the letter; in a query both stay, so that the number behind
        # them is overwritten and the JSON is whole.
        return at + (following is not None), following is _Part.WORDS_ESCAPE


def _forms(secret: Secret) -> set[bytes]:
    """As it is, and as JSON writes it."""
    value = secret.reveal()
    return {value.encode(), json.dumps(value)[1:-1].encode()} - {b""}


def _places(secret: bytes, buffer: bytes) -> Iterator[int]:
    """Where it begins, also at the end, where only so much of it has come as cannot be there by chance."""
    at = buffer.find(secret)
    while at >= 0:
        yield at
        at = buffer.find(secret, at + 1)
    for length in range(min(len(secret) - 1, len(buffer)), LEAST_BEGUN - 1, -1):
        if buffer.endswith(secret[:length]):
            yield len(buffer) - length
            return

"""What must not be kept of a provider's answer, overwritten while it goes by in arbitrary slices.

Invariant: as many bytes come out as went in, however they were sliced, and JSON stays JSON. Overwritten are the queries
of urls, because a signed url opens what it names; keys; and the texts of songs and speech unless they may be kept.
Audio in base64 stays untouched, because none of the marks that are looked for can be written in it.
It must not know where the bytes come from.
"""

import re
from enum import Enum, auto


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


class Mask:
    """Feed it the slices of one answer. `words` tells that lyrics, prompts and texts may be kept."""

    def __init__(self, *, words: bool = False) -> None:
        self._marks = re.compile(_MARKS if words else _MARKS + _WORDS)
        self._part = _Part.PLAIN
        self._seen = b""  # the end of the plain bytes that have gone by: a mark may have begun in them

    def feed(self, data: bytes) -> bytes:
        """The slice with what must not be kept overwritten by zeros."""
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

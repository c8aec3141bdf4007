"""What a player of internet radio reads: the audio, and the titles with the byte of audio behind which each came.

Invariant: a body that is not made of whole blocks at their distance fails. It must not test anything itself, nor know
where a title belongs.
"""

from dataclasses import dataclass, field


@dataclass
class Radio:
    """`titles` are (bytes of audio before it, title); `blocks` counts the empty ones, too."""

    audio: bytes = b""
    titles: list[tuple[int, str]] = field(default_factory=list)
    blocks: int = 0


def parsed(body: bytes, distance: int) -> Radio:
    """A body with a block behind every `distance` bytes."""
    heard, pieces, at, before = Radio(), [], 0, 0
    while len(body) - at >= distance:
        pieces.append(body[at : at + distance])
        at, before = at + distance, before + distance
        if at == len(body):
            break
        size = body[at] * 16
        text = body[at + 1 : at + 1 + size]
        assert len(text) == size, "a block is whole"
        at += 1 + size
        heard.blocks += 1
        if size:
            words = text.rstrip(b"\0").decode()
            assert words.startswith("StreamTitle='"), words
            assert words.endswith("';"), words
            heard.titles.append((before, words[len("StreamTitle='") : -2]))
    heard.audio = b"".join([*pieces, body[at:]])
    return heard

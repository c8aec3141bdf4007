"""The tags that stand between or after MP3 frames and are no sound: ID3v2, ID3v1, APEv2.

Invariant: a tag is told by its first octets alone and its whole length is known from them, so that it can be skipped
while it arrives. A claimed length beyond `MAX_TAG` is not believed. It must not know what a tag says, nor what follows.
"""

MAX_TAG = 8 << 20  # large cover art is a few MB; what claims more is damage
TAG_HEAD = 24  # octets after which every tag's length is known

_ID3V1_BYTES = 128
_HEADS = {b"ID3": 10, b"APETAGEX": TAG_HEAD, b"TAG": 3}


def tag_length(head: bytes) -> int | None:
    """Octets of the tag that begins at `head[0]`: 0 when none does, None when more of the head is needed to tell."""
    for magic, needed in _HEADS.items():
        if head.startswith(magic):
            return _length(magic, head) if len(head) >= needed else None
        if magic.startswith(head):
            return None
    return 0


def _length(magic: bytes, head: bytes) -> int:
    if magic == b"TAG":
        return _ID3V1_BYTES
    if magic == b"ID3":
        size = head[6:10]
        if max(size) > 0x7F:  # the size is 4 × 7 bits, so that it never looks like a frame's sync
            return 0
        footer = 10 if head[5] & 0x10 else 0
        length = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]) + footer
    else:
        # The size counts items and footer; bit 29 says whether this is the head. A footer met alone ends the tag.
        leading = head[23] & 0x20
        length = 32 + int.from_bytes(head[12:16], "little") if leading else 32
    return length if length <= MAX_TAG else 0

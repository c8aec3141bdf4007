"""A FLAC frame's number (RFC 9639, 9.1.5), changed in a frame that is ready.

Invariant: the frame stays one that every decoder takes: the number is coded as short as it can be, and both checksums
are right. Its samples are not touched, nor read: the checksum over all of it is found from the old one, by what the
header alone has changed in it.
It must not know what the samples are.
"""

_NUMBER_AT = 4  # after sync, block size, rate, channels and sample size
_CRC8, _CRC16 = 0x107, 0x18005


def renumbered(frame: bytes, first: int) -> bytes:
    """The frame with its number raised by `first`. It must be of a stream with frames of one length."""
    number, size = _number(frame, _NUMBER_AT)
    after = _NUMBER_AT + size
    # Where block size or rate are unusual they stand behind the number: the codes 6, 7, and 12 to 14.
    extras = {6: 1, 7: 2}.get(frame[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(frame[2] & 0x0F, 0)
    old = frame[: after + extras + 1]
    new = frame[:_NUMBER_AT] + _coded(number + first) + frame[after : after + extras]
    new += bytes((_crc(new, 8, _CRC8),))
    body = frame[len(old) : -2]
    # A checksum is linear: the body adds the same to whatever the header left, moved by the body's length.
    moved = _moved(_crc(old, 16, _CRC16) ^ _crc(new, 16, _CRC16), len(body))
    checksum = int.from_bytes(frame[-2:], "big") ^ moved
    return new + body + checksum.to_bytes(2, "big")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, coded as UTF-8 codes characters but up to 36 bits, and its octets."""
    first = data[at]
    if first < 0x80:
        return first, 1
    size = 8 - (first ^ 0xFF).bit_length()
    value = first & (0x7F >> size)
    for octet in data[at + 1 : at + size]:
        value = value << 6 | octet & 0x3F
    return value, size


def _coded(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    size = next(size for size in range(2, 8) if value < 1 << (5 * size + 1))
    lower = [0x80 | value >> 6 * place & 0x3F for place in range(size - 2, -1, -1)]
    return bytes((0xFF00 >> size & 0xFF | value >> 6 * (size - 1), *lower))


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """From zero, highest bit first. For headers: a dozen octets."""
    rest = 0
    for octet in data:
        rest ^= octet << bits - 8
        for _ in range(8):
            rest = rest << 1 ^ (polynomial if rest >> bits - 1 else 0)
    return rest


def _moved(rest: int, octets: int) -> int:
    """What a CRC-16 of `rest` becomes when so many zero octets follow: times x to the power of their bits."""
    power, square, left = 1, 0x100, octets
    while left:
        if left & 1:
            power = _product(power, square)
        square = _product(square, square)
        left >>= 1
    return _product(rest, power)


def _product(left: int, right: int) -> int:
    """Of two polynomials over GF(2), modulo that of the CRC-16."""
    out = 0
    while right:
        if right & 1:
            out ^= left
        left <<= 1
        if left >> 16:
            left ^= _CRC16
        right >>= 1
    return out

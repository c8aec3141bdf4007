"""The keys that sign tickets: made from a secret and the time, so they rotate by themselves, the same everywhere.

A key has a beginning, signs for `rotation` seconds, and is honoured for `grace` seconds more; its name is its
beginning, in whole Unix seconds. Of several secrets the first signs and all are honoured: that is how a secret itself
is changed. Invariant: nothing shows a secret or a key, and signatures are compared in constant time. Who knows one key
can make no other. It must not know what is signed.
"""

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from gateway.config.secret import SecretFileError, shown_path
from gateway.upstream.keys import read_keys

SIGNATURE_BYTES = 32
SECRET_BYTES = 32
ROTATION_SECONDS = 6 * 3600
# Longer than any ticket is good, so that an old one is told that it has expired and not that it is unknown.
GRACE_SECONDS = 30 * 3600
# How far the clocks of two machines may be apart.
LEEWAY_SECONDS = 5

_PURPOSE = b"wavegate ticket key\0"
# No message begins so: the first octet of one is its version.
_PAD = b"\0pad\0"
_LATEST = 2**32


class SigningKeys:
    """Signs and checks. `secrets` are at least one, each of `SECRET_BYTES` or more."""

    def __init__(
        self, secrets: Sequence[bytes], *, rotation: int = ROTATION_SECONDS, grace: int = GRACE_SECONDS
    ) -> None:
        if not secrets or min(map(len, secrets)) < SECRET_BYTES:
            raise ValueError(f"a secret to sign with has {SECRET_BYTES} bytes or more")
        self._secrets = tuple(secrets)
        self._rotation = rotation
        self._grace = grace

    def current(self, now: float) -> int:
        """The name of the key that signs at this time."""
        return int(now) // self._rotation * self._rotation

    def sign(self, key: int, message: bytes) -> bytes:
        """The signature, `SIGNATURE_BYTES` long."""
        return _signature(self._secrets[0], key, message)

    def honours(self, key: int, now: float) -> bool:
        """Whether what this key has signed is good at this time."""
        begun = key <= now + LEEWAY_SECONDS
        return begun and 0 <= key < _LATEST and now < key + self._rotation + self._grace

    def signed(self, key: int, message: bytes, signature: bytes) -> bool:
        """Whether it is the key's signature of this message."""
        return self.signer(key, message, signature) is not None

    def signer(self, key: int, message: bytes, signature: bytes) -> int | None:
        """The place of the secret by which it is the key's signature of this message; None if it is none."""
        # All are looked at, so that the time does not tell which of the secrets it was.
        found = [hmac.compare_digest(_signature(one, key, message), signature) for one in self._secrets]
        return found.index(True) if any(found) else None

    def pad(self, key: int, label: bytes, size: int, place: int = 0) -> bytes:
        """Up to `SIGNATURE_BYTES` octets that nobody can tell who does not have the secret at this place.

        What is hidden under them has to have a label of its own. They are the signature of no message.
        """
        return _signature(self._secrets[place], key, _PAD + label)[:size]


def _signature(secret: bytes, key: int, message: bytes) -> bytes:
    made = hmac.digest(secret, _PURPOSE + key.to_bytes(8, "big"), hashlib.sha256)
    return hmac.digest(made, message, hashlib.sha256)


def read_ticket_secrets(path: str | Path) -> list[bytes]:
    """The secrets in a file, one a line: the first signs, the others are still honoured. Raises SecretFileError."""
    found = [secret.reveal().encode() for secret in read_keys(path)]
    if min(map(len, found)) < SECRET_BYTES:
        raise SecretFileError(f"the secrets in {shown_path(path)} must have {SECRET_BYTES} characters or more each")
    return found

"""Secrets: how a key is held, read from a file, made, named, and kept out of every text for people.

Invariant: a `Secret` shows its value to nobody but the caller of `reveal`; no error raised here contains any part of
the content of a file. Tenant keys are stored as hashes only; the first digits of a hash name a key in logs.
It must not know what a secret opens, nor where a configuration comes from.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import quote

HIDDEN = "***"

# A provider key is some dozens of bytes: whatever is longer was not meant to be the key.
_MAX_SECRET_BYTES = 4096

# Of a name without a dot in a path, and of one that is no path to begin with.
_LONGEST_NAME, _LONGEST_PLAIN = 39, 19

# What is hidden wherever it stands, known or not: each pattern keeps its first group, which says what was hidden.
_LOOKS_SECRET = (
    # Before it may stand the end of a line, as `repr` and JSON write that: a letter, if one does not look twice.
    re.compile(r"((?:\b|(?<=\\[nrt]))bearer(?:\s|\\[nrt]|%20)+)[^\s\"',]+", re.IGNORECASE),
    re.compile(r"((?:\b|(?<=\\[nrt]))sk-)[A-Za-z0-9_-]{6,}"),
    re.compile(r"(w[gt]_)[A-Za-z0-9_-]{16,}"),
    re.compile(r"(wavegate\.(?:key|ticket)\.)[A-Za-z0-9_=-]+"),
    # Storage has names of its own for such: OSSAccessKeyId, x-oss-signature, X-Amz-Security-Token.
    re.compile(
        r"((?:[?&]|\\u0026)[\w.%-]*(?:ticket|key|keyid|token|signature|password|secret|credential)=)[^&\s\"'\\]+",
        re.IGNORECASE,
    ),
    # Greedy up to the last @ of the authority, since a password typed into a URL may itself hold one, or a quote.
    re.compile(r"(://)[^\s/]*(?=@)"),
)


class SecretFileError(ValueError):
    """A file that should hold a secret does not; the message is a sentence that names the file, never its content."""


class Secret:
    """A string that does not show itself: `repr` and `str` are `Secret(***)`; equality takes constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the one place that sends or checks it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._value), _octets(other._value))

    def __hash__(self) -> int:
        return hash(self._value)


def read_secret_file(path: str | Path) -> Secret:
    """The one line that a file holds, without its newline. Raises SecretFileError when there is no such line."""
    name = shown_path(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_SECRET_BYTES + 1)
    except FileNotFoundError:
        raise SecretFileError(f"the secret file {name} does not exist") from None
    except IsADirectoryError:
        raise SecretFileError(f"the secret file {name} is a directory") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise SecretFileError(f"the secret file {name} cannot be read: {reason}") from None
    if len(data) > _MAX_SECRET_BYTES:
        raise SecretFileError(f"the secret file {name} is larger than {_MAX_SECRET_BYTES} bytes")
    text = data.decode("ascii", errors="replace").removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretFileError(f"the secret file {name} is empty")
    # The value becomes a header: a line break in it would be a header of its own.
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise SecretFileError(f"the secret file {name} must hold one line of ASCII text without spaces around it")
    return Secret(text)


def new_tenant_key(token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A new key for a tenant: `wg_` and 43 url-safe characters, 256 random bits, shown once and never stored."""
    return "wg_" + base64.urlsafe_b64encode(token_bytes(32)).rstrip(b"=").decode()


def key_hash(key: str) -> str:
    """What the configuration holds in a key's place: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(_octets(key)).hexdigest()


def key_id(hashed: str) -> str:
    """The name of a key, safe to log: the first 8 hex digits of its `sha256:...` hash."""
    return hashed.removeprefix("sha256:")[:8]


def shown_path(path: str | Path) -> str:
    """A path for people; *** for what may be the secret itself, pasted where its file was meant."""
    text = redact(str(path))
    longest = _LONGEST_NAME if text.startswith(("/", "./", "../")) else _LONGEST_PLAIN
    # Random letters have no suffix, and are longer than what people call a file.
    return HIDDEN if any(len(part) > longest and "." not in part for part in text.split("/")) else text


def redact(text: str, known: Collection[Secret] = ()) -> str:
    """`text` with the known secrets, and whatever looks like a key, a ticket or a password in a URL, replaced by ***.

    A known secret is found as it is, percent-encoded, and as `repr` and JSON write it.
    """
    forms = {form for secret in known for form in _forms(secret.reveal())}
    # Longest first: a secret that contains another one must not leave its rest behind.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    for pattern in _LOOKS_SECRET:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def _forms(value: str) -> set[str]:
    # A surrogate has no percent-encoding; json.dumps takes any text.
    return {value, quote(value, safe="", errors="replace"), repr(value)[1:-1], json.dumps(value)[1:-1]} - {""}


def _octets(text: str) -> bytes:
    # An environment that is not UTF-8 gives surrogates: such a key is wrong, but must not raise.
    return text.encode("utf-8", "surrogatepass")

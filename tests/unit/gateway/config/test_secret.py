"""Secrets: hidden in every text, compared, read from files, made, hashed and redacted.

Invariant: what is hidden is shown by `reveal` alone, and no error holds any of it.
They must not know where the gateway keeps a secret.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.config.secret import (
    Secret,
    SecretFileError,
    key_hash,
    key_id,
    new_tenant_key,
    read_secret_file,
    redact,
    shown_path,
)


def test_secret_hides_itself() -> None:
    """No way of turning a secret into text shows it; `reveal` does."""
    secret = Secret("topsecret")
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "{}".format({"k": secret})):
        assert "topsecret" not in text
        assert "Secret(***)" in text
    assert secret.reveal() == "topsecret"
    assert not hasattr(secret, "__dict__")


def test_secret_equality() -> None:
    """Secrets are equal by value, work in sets, and equal no plain string."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\ud800") != Secret("ä")
    assert {Secret("a"), Secret("a")} == {Secret("a")}


def test_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equality goes through the comparison that does not tell by its time where two values differ."""
    compared = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr("gateway.config.secret.hmac.compare_digest", compare)
    assert Secret("abc") != Secret("abd")
    assert compared == [(b"abc", b"abd")]


@pytest.mark.parametrize("content", [b"sk-key", b"sk-key\n", b"sk-key\r\n"])
def test_read_secret_file(tmp_path: Path, content: bytes) -> None:
    """A file gives its one line without the newline, whether the path is text or not."""
    path = tmp_path / "key"
    path.write_bytes(content)
    assert read_secret_file(path) == read_secret_file(str(path)) == Secret("sk-key")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"topsecret\n\n", "must hold one line"),
        (b"topsecret\nX-Header: 1\n", "must hold one line"),
        (b" topsecret", "must hold one line"),
        (b"topsecret\t", "must hold one line"),
        (b"topsecr\xc3\xa9t", "must hold one line"),
        (b"topsecret" * 1000, "is larger than 4096 bytes"),
    ],
)
def test_unusable_secret_file(tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is not one line of plain text is refused in a sentence with its name and nothing of its content."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SecretFileError, match=reason) as caught:
        read_secret_file(path)
    assert str(path) in str(caught.value)
    assert "topsecr" not in str(caught.value)


def test_no_secret_file(tmp_path: Path) -> None:
    """A missing file, a directory, a file below a file and an impossible name each say what is wrong."""
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a directory"),
        (tmp_path / "file" / "key", "cannot be read: Not a directory"),
        ("a\0b", "cannot be read: not a file name"),
    ):
        with pytest.raises(SecretFileError, match=reason):
            read_secret_file(path)


def test_key_in_place_of_its_file() -> None:
    """A key pasted where its file was meant is not repeated by the error."""
    with pytest.raises(SecretFileError, match=r"sk-\*\*\* does not exist") as caught:
        read_secret_file("sk-0123456789abcdef")
    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("dashscope.key", "dashscope.key"),
        ("secret", "secret"),
        ("/run/secrets/wavegate/dashscope_production", "/run/secrets/wavegate/dashscope_production"),
        ("./a-rather-long-name-of-a-file", "./a-rather-long-name-of-a-file"),
        ("a-rather-long-name-of-a.key", "a-rather-long-name-of-a.key"),
        ("sk-0123abcd", "sk-***"),
        ("fDq5Xk0vZb1m3s8Yt6wR", "***"),
        ("fDq5Xk0vZb1m3s8Yt6wR/2c4f", "***"),
        ("/" + 40 * "x", "***"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE/abc", "***"),
    ],
)
def test_a_path_is_shown_unless_it_may_be_the_secret_itself(path: str, shown: str) -> None:
    """Long and without a dot: what was pasted where its file was meant."""
    assert shown_path(path) == shown
    assert shown_path(Path("/run/secrets/dashscope.key")) == "/run/secrets/dashscope.key"


def test_new_tenant_key() -> None:
    """A new key is `wg_` and 43 url-safe characters made of 32 random bytes."""
    asked = []

    def token_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\xff" * size

    assert new_tenant_key(token_bytes) == "wg_" + "_" * 42 + "8"
    assert asked == [32]
    assert new_tenant_key() != new_tenant_key()
    assert redact(new_tenant_key()) == "wg_***"


def test_key_hash_and_id() -> None:
    """A key's hash is its SHA-256 in hex, and its id the first eight digits of that."""
    digest = hashlib.sha256("ключ".encode()).hexdigest()
    assert key_hash("ключ") == f"sha256:{digest}"
    assert key_id(key_hash("ключ")) == digest[:8]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("{'authorization': 'bearer abc'}", "{'authorization': 'bearer ***'}"),
        ("key sk-0123abcd-EF, next", "key sk-***, next"),
        ("wg_0123456789abcdefghij!", "wg_***!"),
        (
            "wavegate.v1, wavegate.key.ZGVtbw==, wavegate.ticket.abc",
            "wavegate.v1, wavegate.key.***, wavegate.ticket.***",
        ),
        ("GET /v1/ws?ticket=abc&since=live", "GET /v1/ws?ticket=***&since=live"),
        ("x.wav?Expires=1&Signature=a%2Fb", "x.wav?Expires=1&Signature=***"),
        (repr("x\nsk-0123abcd\twg_0123456789abcdefghij"), "'x\\nsk-***\\twg_***'"),
        (repr(b"a\r\nBearer\tabc"), "b'a\\r\\nBearer\\t***'"),
        (json.dumps("\nwavegate.key.ZGVtbw"), '"\\nwavegate.key.***"'),
        ("authorization=Bearer%20abc", "authorization=Bearer%20***"),
        ("a?OSSAccessKeyId=LTA&x-oss-signature=b%2F&e=1", "a?OSSAccessKeyId=***&x-oss-signature=***&e=1"),
        ('"a?X-Amz-Security-Token=b\\u0026c=d"', '"a?X-Amz-Security-Token=***\\u0026c=d"'),
        ("redis://host/0?password=abc&db=1", "redis://host/0?password=***&db=1"),
        ("redis://:p@ss@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:p'a\"ss@host:6379/0", "redis://***@host:6379/0"),
        ("https://dashscope.aliyuncs.com/api", "https://dashscope.aliyuncs.com/api"),
        ("task-manager sk-1 wg_short key=plain", "task-manager sk-1 wg_short key=plain"),
    ],
)
def test_what_looks_secret(text: str, shown: str) -> None:
    """Keys, tickets and passwords in URLs are hidden by their form alone; the rest stays, also the second time."""
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize("secret", ["topsecret", "p\\a\"ss/w'ord", "clé secrète", "\ud800bad"])
@pytest.mark.parametrize(
    "write",
    [str, lambda text: quote(text, safe="", errors="replace"), repr, json.dumps],
    ids=["plain", "url", "repr", "json"],
)
def test_known_secrets(secret: str, write: Callable[[str], str]) -> None:
    """A known secret disappears as it is, percent-encoded, and from what `repr` and JSON write."""
    quotes = write("")
    written = f"{quotes[:1]}***{quotes[1:]}"
    assert redact(f"a {write(secret)} b {write(secret)}", {Secret(secret)}) == f"a {written} b {written}"


def test_known_secrets_may_overlap() -> None:
    """A secret inside another one does not leave the longer one's rest, and an empty one hides nothing."""
    assert redact("abcdef", [Secret("abc"), Secret("abcdef"), Secret("")]) == "***"
    assert redact("plain", [Secret("")]) == "plain"

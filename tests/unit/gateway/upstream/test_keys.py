"""The provider's key: from a value or a file, read anew each time, and never shown.

The key that is looked for in reprs and errors is one that could not stand there by chance.
"""

import os
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.keys import ProviderKey

SECRET = "sk-3f1c9d-secret"


async def refusal(key: ProviderKey) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await key.current()
    assert caught.value.code == "upstream_refused"
    return caught.value


@pytest.mark.parametrize("value", [SECRET, f"  {SECRET}\n"])
async def test_a_given_value_is_the_key(value: str) -> None:
    """A value is used without the space that pasting leaves around it."""
    assert await ProviderKey(value).current() == SECRET


async def test_a_value_wins_over_a_file(tmp_path: Path) -> None:
    """The environment's key is taken although a file is named, too, even one that is not there."""
    assert await ProviderKey(SECRET, tmp_path / "missing").current() == SECRET


async def test_a_rotated_file_gives_the_new_key_at_once(tmp_path: Path) -> None:
    """Each call reads the file as it is now, also when its size and time have not changed."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    os.utime(file, (1, 1))
    key = ProviderKey(path=str(file))
    assert await key.current() == SECRET
    file.write_text(f"{SECRET[::-1]}\n")
    os.utime(file, (1, 1))
    assert await key.current() == SECRET[::-1]


@pytest.mark.parametrize("content", ["", " \n", "two words", "one\ntwo", "schlüssel", "k" * 5000])
async def test_a_file_without_a_key_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    """Empty, wordy, foreign and huge files are refused in a sentence that repeats nothing of them."""
    file = tmp_path / "key"
    file.write_text(content, "utf-8")
    error = await refusal(ProviderKey(path=file))
    assert not content.strip() or content.strip() not in error.message


async def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory and a pipe, which would never end, are refused, and the path is not told."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        error = await refusal(ProviderKey(path=path))
        assert str(path) not in error.message
        assert "api_key_file" in error.message


async def test_no_key_at_all_names_both_ways_to_give_one() -> None:
    """Without a value and a file the sentence says where a key may come from."""
    for key in (ProviderKey(), ProviderKey("", ""), ProviderKey("  ")):
        assert not key.configured
        message = (await refusal(key)).message
        assert "DASHSCOPE_API_KEY" in message
        assert "upstream.api_key_file" in message


async def test_a_value_that_would_break_a_header_is_refused() -> None:
    """Control characters and spaces inside a key do not get as far as a request."""
    for value in ("a\r\nX: y", "a b", "a\0b"):
        assert value not in (await refusal(ProviderKey(value))).message


def test_the_repr_never_shows_the_key() -> None:
    """What a log or a debugger prints is where the key comes from."""
    assert repr(ProviderKey(SECRET)) == "<ProviderKey given>"
    assert repr(ProviderKey(path="/run/secrets/key")) == "<ProviderKey from a file>"
    assert repr(ProviderKey()) == "<ProviderKey missing>"
    assert ProviderKey(SECRET).configured
    assert ProviderKey(path="/run/secrets/key").configured

"""The provider's keys: from a value or a file, read anew each time, set aside when refused, and never shown.

The keys that are looked for in reprs, errors and logs are such as could not stand there by chance.
Invariant under test: there is a usable key, or an error that says how to give one.
"""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from gateway.config.secret import Secret, SecretFileError
from gateway.errors import UpstreamError
from gateway.upstream.keys import SET_ASIDE_SECONDS, KeyRefusedError, ProviderKey, read_keys
from tests.support.log import logged
from tests.support.relay import Clock

SECRET = "sk-3f1c9d-secret"
OTHER = "sk-77aa01-secret"
MODEL = "fun-music-v1"
NO = UpstreamError("upstream_refused", "The key is not good.", request_id="r7")


async def refusal(key: ProviderKey, model: str = MODEL) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await key.current(model)
    assert caught.value.code == "upstream_refused"
    return caught.value


async def shown(key: ProviderKey, model: str = MODEL) -> str:
    return (await key.current(model)).reveal()


def key_file(folder: Path, *lines: str) -> Path:
    file = folder / "keys"
    file.write_text("\n".join(lines), "utf-8")
    return file


# -- where a key comes from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [SECRET, f"  {SECRET}\n"])
async def test_a_given_value_is_the_key(value: str) -> None:
    """A value is used without the space that pasting leaves around it."""
    assert await shown(ProviderKey(value)) == SECRET


async def test_a_value_wins_over_a_file(tmp_path: Path) -> None:
    """The environment's key is taken although a file is named, too, even one that is not there."""
    assert await shown(ProviderKey(SECRET, tmp_path / "missing")) == SECRET


async def test_a_rotated_file_gives_the_new_key_at_once(tmp_path: Path) -> None:
    """Each call reads the file as it is now, also when its size and time have not changed."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    os.utime(file, (1, 1))
    key = ProviderKey(path=str(file))
    assert await shown(key) == SECRET
    file.write_text(f"{SECRET[::-1]}\n")
    os.utime(file, (1, 1))
    assert await shown(key) == SECRET[::-1]


def test_a_file_may_hold_several_keys_and_remarks(tmp_path: Path) -> None:
    """One key a line in their order, without blank lines, remarks, repetitions and what editors leave around."""
    file = tmp_path / "keys"
    file.write_bytes(f"\ufeff# första\r\n{SECRET}\r\n\r\n  {OTHER}\n{SECRET}\n".encode())
    assert read_keys(file) == [Secret(SECRET), Secret(OTHER)]


@pytest.mark.parametrize(
    "content", ["", " \n", "# only\n", "two words", f"{SECRET}\ntwo words", "schlüssel", "k" * 5000, "k\n" * 70000]
)
async def test_a_file_without_keys_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    """Empty, wordy, foreign and huge files are refused in a sentence that repeats nothing of them."""
    file = key_file(tmp_path, content)
    error = await refusal(ProviderKey(path=file))
    (note,) = error.__notes__
    assert str(file) in note
    for text in (error.message, note):
        assert not content.strip() or content.strip() not in text
        assert SECRET not in text


def test_a_file_of_too_many_keys_is_refused(tmp_path: Path) -> None:
    """What has hundreds of lines is not a file of keys."""
    assert len(read_keys(key_file(tmp_path, *(f"k{number}" for number in range(64))))) == 64
    with pytest.raises(SecretFileError):
        read_keys(key_file(tmp_path, *(f"k{number}" for number in range(65))))


async def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe, which would never end, and no name at all are refused without the path."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe", tmp_path / "binary", "nul\0"):
        error = await refusal(ProviderKey(path=path))
        assert str(path) not in error.message
        assert "api_key_file" in error.message


async def test_a_file_that_cannot_be_read_in_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer ends the generation, not the gateway."""
    monkeypatch.setattr("gateway.upstream.keys._READ_TIMEOUT", -1)
    error = await refusal(ProviderKey(path=key_file(tmp_path, SECRET)))
    assert error.__notes__ == ["reading takes too long"]


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


# -- which of them works ---------------------------------------------------------------------------------------------


async def test_the_first_key_is_used_while_it_works(tmp_path: Path) -> None:
    """The order in the file is that of preference."""
    keys = ProviderKey(path=key_file(tmp_path, SECRET, OTHER))
    for _ in range(3):
        keys.accepted(await keys.current(MODEL), MODEL)
    assert await shown(keys) == SECRET


async def test_a_refused_key_is_set_aside_and_another_is_tried_at_once(tmp_path: Path) -> None:
    """The error says that there is another key; the generations after it use that one without a detour."""
    keys = ProviderKey(path=key_file(tmp_path, SECRET, OTHER))
    error = keys.refused(await keys.current(MODEL), MODEL, NO)
    assert isinstance(error, KeyRefusedError)
    assert (error.code, error.request_id) == ("upstream_refused", "r7")
    assert [await shown(keys) for _ in range(3)] == [OTHER] * 3


async def test_without_a_key_that_works_the_operator_is_told_what_to_do(tmp_path: Path) -> None:
    """The last refusal and all that follow say what the provider objects to and where a key may be put."""
    keys = ProviderKey(path=key_file(tmp_path, SECRET, OTHER))
    for last in (False, True):
        error = keys.refused(await keys.current(MODEL), MODEL, NO)
        assert isinstance(error, KeyRefusedError) != last
    for told in (error, await refusal(keys)):
        assert told.message.startswith("The key is not good. ")
        assert "DASHSCOPE_API_KEY" in told.message
        assert "upstream.api_key_file" in told.message


async def test_a_refusal_is_for_one_model() -> None:
    """A tenant that asks for a model the account does not have stops nobody else."""
    keys = ProviderKey(SECRET)
    keys.refused(await keys.current("fun-music-preview"), "fun-music-preview", NO)
    await refusal(keys, "fun-music-preview")
    assert await shown(keys) == SECRET


async def test_a_key_that_was_set_aside_is_tried_out_after_a_time(tmp_path: Path) -> None:
    """One generation tries it, the others use what works; accepted, it is the first again, refused, it is aside."""
    clock = Clock()
    keys = ProviderKey(path=key_file(tmp_path, SECRET, OTHER), now=clock)
    keys.refused(await keys.current(MODEL), MODEL, NO)
    clock.at += SET_ASIDE_SECONDS
    assert [await shown(keys) for _ in range(3)] == [SECRET, OTHER, OTHER]
    assert isinstance(keys.refused(Secret(SECRET), MODEL, NO), KeyRefusedError)
    assert await shown(keys) == OTHER
    clock.at += SET_ASIDE_SECONDS
    keys.accepted(await keys.current(MODEL), MODEL)
    assert [await shown(keys) for _ in range(2)] == [SECRET, SECRET]


async def test_the_only_key_may_be_tried_out_by_several() -> None:
    """While the first one's verdict is out there is nothing better to do than to try, too."""
    clock = Clock()
    keys = ProviderKey(SECRET, now=clock)
    keys.refused(await keys.current(MODEL), MODEL, NO)
    clock.at += SET_ASIDE_SECONDS
    assert [await shown(keys) for _ in range(2)] == [SECRET, SECRET]


async def test_a_key_that_is_gone_from_the_file_is_forgotten(tmp_path: Path) -> None:
    """Late verdicts on it change nothing, and if it comes back it is a key like any other."""
    keys = ProviderKey(path=key_file(tmp_path, SECRET))
    old = await keys.current(MODEL)
    keys.refused(old, MODEL, NO)
    key_file(tmp_path, OTHER)
    assert await shown(keys) == OTHER
    keys.refused(old, MODEL, NO)
    assert await shown(keys) == OTHER
    key_file(tmp_path, SECRET)
    assert await shown(keys) == SECRET


# -- never shown -----------------------------------------------------------------------------------------------------


def test_the_repr_never_shows_the_key() -> None:
    """What a log or a debugger prints is where the key comes from."""
    assert repr(ProviderKey(SECRET)) == "<ProviderKey given>"
    assert repr(ProviderKey(path="/run/secrets/key")) == "<ProviderKey from a file>"
    assert repr(ProviderKey()) == "<ProviderKey missing>"
    assert ProviderKey(SECRET).configured
    assert ProviderKey(path="/run/secrets/key").configured


async def test_the_log_names_a_key_by_its_hash(caplog: pytest.LogCaptureFixture) -> None:
    """Setting a key aside is told once, with the first digits of its SHA-256 and nothing of itself."""
    keys = ProviderKey(SECRET)
    with caplog.at_level(logging.WARNING, "wavegate.upstream"):
        keys.refused(await keys.current(MODEL), MODEL, NO)
    (record,) = caplog.records
    assert vars(record)["fields"] == {"key": "37809608", "model": MODEL}
    assert SECRET not in f"{vars(record)!r} {vars(keys)!r}"


async def test_a_rotated_key_is_concealed_before_it_is_used(tmp_path: Path) -> None:
    """The log hides it as it hides the first one, and whoever records answers is told of both."""
    keys = ProviderKey(path=key_file(tmp_path, "first-plain-key"))
    with logged() as written:
        await keys.current(MODEL)
        key_file(tmp_path, "second-plain-key")
        for _ in range(2):
            await keys.current(MODEL)
        logging.getLogger("wavegate.upstream").warning("first-plain-key and second-plain-key")
        await asyncio.to_thread(written.writer.flush)
        assert [entry["event"] for entry in written.entries] == ["*** and ***"]
    assert keys.held() == (Secret("first-plain-key"), Secret("second-plain-key"))
    # What a simulator takes would be found in many a word.
    key_file(tmp_path, "any")
    await keys.current(MODEL)
    assert keys.held() == (Secret("first-plain-key"), Secret("second-plain-key"))

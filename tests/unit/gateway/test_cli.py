"""The command line without servers: usage, the short commands, and what the client is called with.

Invariant under test: a mistake is a sentence and code 2, never a traceback.
It must not know what the commands do beyond calling one thing; real processes are tried elsewhere.
"""

import argparse
import hashlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.client import listen as client_listen
from gateway.client import ticket as client_ticket
from gateway.client.errors import ClientError
from gateway.config.load import load
from gateway.upstream.probe import command
from gateway.upstream.probe.purchase import Purchase
from gateway.upstream.probe.report import Discretion


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (cli.KEY_VARIABLE, "WAVEGATE_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> int:
    return cli.main(arguments)


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_a_short_command_is_one_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupted command has failed, and shows no traceback."""

    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli._COMMANDS, "default-config", interrupted)
    assert run("default-config") == 1
    assert capsys.readouterr().err == ""


def test_a_fault_of_ours_is_told_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With where it was, for whoever mends it; a key from the environment and a password in an address are hidden."""

    def faulty(options: argparse.Namespace) -> int:
        raise RuntimeError("plain-topsecret redis://:topsecret@host wg_topsecret-0123456789")

    monkeypatch.setenv(cli.KEY_VARIABLE, "plain-topsecret")
    monkeypatch.setitem(cli._COMMANDS, "default-config", faulty)
    assert run("default-config") == 1
    said = capsys.readouterr().err
    assert "RuntimeError: *** redis://***@host wg_***" in said
    assert "in faulty" in said
    assert "topsecret" not in said


def test_a_reader_that_has_left_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`wavegate ... | head` ends well; what is still written goes nowhere."""

    def broken(options: argparse.Namespace) -> int:
        raise BrokenPipeError

    monkeypatch.setitem(cli._COMMANDS, "default-config", broken)
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert run("default-config") == 0
        out.write("late")
    assert (tmp_path / "out").read_text() == ""


# -- keys and configuration ------------------------------------------------------------------------------------------


def test_a_new_key_is_told_once_with_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    """The hash is that of the key, what goes into the configuration is valid there, and two keys differ."""
    keys = set()
    for _ in range(2):
        assert run("keys", "new", "acme") == 0
        said = capsys.readouterr().out
        found = re.search(r"^key   (wg_\S{43}) ", said, re.MULTILINE)
        assert found is not None
        digest = "sha256:" + hashlib.sha256(found[1].encode()).hexdigest()
        assert f"hash  {digest}" in said
        keys.add(found[1])
    assert len(keys) == 2
    config = load(None, {"WAVEGATE__TENANTS": said.partition("tenants:")[2]}).config
    assert [(tenant.id, tenant.keys) for tenant in config.tenants] == [("acme", [digest])]


@pytest.mark.parametrize("tenant", ["Acme Inc", "", "a" * 65, 'a"]\nx: ["'])
def test_a_key_is_not_made_for_a_name_no_tenant_can_have(tenant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be refused in the configuration is refused here."""
    assert run("keys", "new", tenant) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("wavegate: ")


def test_the_default_configuration_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `default-config` prints is what `check-config` accepts."""
    assert run("default-config") == 0
    file = tmp_path / "wavegate.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run("check-config", str(file)) == 0
    assert capsys.readouterr().out == f"{file}: good\n"


def test_every_mistake_in_a_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with the path of its key, on standard error, and nothing is called good."""
    file = tmp_path / "wavegate.yaml"
    file.write_text("server: {port: 99999, prot: 1}\n", encoding="utf-8")
    assert run("check-config", str(file)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("wavegate: ")
    assert "server.port" in said.err
    assert "server.prot" in said.err


def test_what_is_hardly_meant_so_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant without a key is good, and said to be of use to nobody."""
    file = tmp_path / "wavegate.yaml"
    file.write_text("tenants: [{id: acme, limits: {streams_per_minute: 1}}]\n", encoding="utf-8")
    assert run("check-config", str(file)) == 0
    said = capsys.readouterr()
    assert said.err.startswith("warning: tenants[0].keys")
    assert said.out == f"{file}: good\n"


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For each command that reads one."""
    file = tmp_path / "none.yaml"
    for arguments in (("check-config", str(file)), ("serve", "--demo", "--config", str(file))):
        assert run(*arguments) == 2
        assert f"{file}: the file does not exist" in capsys.readouterr().err


# -- probing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the probe was called with: model, prompt, format, the name of its key, and where to save."""
    calls: list[tuple[Any, ...]] = []

    async def probe(purchase: Purchase, discretion: Discretion, directory: Path | None, **streams: Any) -> int:
        song = purchase.song
        names = [secret.reveal() for secret in discretion.secrets]
        calls.append((song.model, song.input.prompt, song.input.format, names, discretion.prompt, directory))
        return 4

    monkeypatch.setattr(command, "probe", probe)
    monkeypatch.setattr(cli.log, "configure", lambda *arguments, **options: None)
    return calls


def test_a_probe_takes_a_key(probed: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    """Without one the sentence names both ways out, and nothing is bought."""
    assert run("probe", "--yes") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "DASHSCOPE_API_KEY=sk-... wavegate probe" in said.err
    assert "upstream.api_key_file" in said.err
    assert probed == []


def test_a_probe_asks_before_it_spends(
    probed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The price is told, and with nobody to ask nothing is bought; a prompt that cannot be is not offered."""
    monkeypatch.setenv(cli.KEY_VARIABLE, "sk-a-key")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run("probe") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "about 0.40 CNY" in said.err
    assert "--yes" in said.err
    assert run("probe", "--yes", "--prompt", "short") == 2
    assert "CNY" not in capsys.readouterr().err
    assert probed == []


def test_a_probe_buys_what_was_said(
    probed: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the key of the environment, else of the file; the code comes back."""
    key, config = tmp_path / "key", tmp_path / "wavegate.yaml"
    key.write_text("sk-from-file\n", encoding="ascii")
    config.write_text(f"upstream: {{model: fun-music-preview, api_key_file: '{key}'}}\n", encoding="utf-8")
    prompt = "five words about the rain"
    assert run("probe", "--yes", "--config", str(config), "--prompt", prompt, "--format", "wav") == 4
    monkeypatch.setenv(cli.KEY_VARIABLE, "sk-from-environment")
    assert run("probe", "--yes", "--save", str(tmp_path / "found")) == 4
    assert probed == [
        ("fun-music-preview", prompt, "wav", ["sk-from-file"], prompt, None),
        ("fun-music-v1", command.PROMPT, "mp3", ["sk-from-environment"], command.PROMPT, tmp_path / "found"),
    ]
    said = capsys.readouterr().err
    assert "sk-from" not in said
    assert prompt not in said


def test_a_probe_says_what_it_does(
    probed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its steps go to standard error, so that standard output is the report."""

    async def probe(purchase: Purchase, *arguments: Any, **streams: Any) -> int:
        purchase._tell("a step")
        return 0

    monkeypatch.setattr(command, "probe", probe)
    monkeypatch.setenv(cli.KEY_VARIABLE, "sk-a-key")
    assert run("probe", "--yes") == 0
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[-1]) == ("", "  a step")


# -- simulating and listening ----------------------------------------------------------------------------------------


def test_a_speed_below_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """0 is at once, more is a multiple of real time, less is nothing."""
    assert run("simulate", "--speed", "-1") == 2
    assert capsys.readouterr().err == "wavegate: --speed is 0 or more\n"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the listening client was called with."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def listen(*arguments: Any, **options: Any) -> int:
        calls.append((arguments, options))
        return 4

    monkeypatch.setattr(client_listen, "listen", listen)
    return calls


def test_listening_passes_on_what_was_said(
    heard: list[tuple[tuple[Any, ...], dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server, key, what to hear and where to write; the code comes back.

    The key may stand in the environment, and stays there when a ticket is given.
    """
    lyrics = tmp_path / "lyrics.txt"
    lyrics.write_text("夜空\n", encoding="utf-8")
    assert run("listen", "--key", "k", "--prompt", "p", "--format", "wav", "-o", "out.wav") == 4
    monkeypatch.setenv("WAVEGATE_KEY", "from environment")
    assert run("listen", "--lyrics-file", str(lyrics), "-o", "-") == 4
    assert run("listen", "--server", "http://s", "--stream", "st_1") == 4
    assert run("listen", "--ticket", "wt_1", "--stream", "st_1") == 4
    assert run("listen", "--text", "t", "--voice", "v", "--model", "m", "--idempotency-key", "o-1") == 4
    assert run("listen", "--stream", "st_1", "--since", "live") == 4
    assert run("listen", "--stream", "st_1", "--since", "9.5") == 4
    assert {options.pop("measuring") for _, options in heard} == {cli._measuring}
    nothing = dict.fromkeys(
        ("ticket", "prompt", "lyrics", "text", "voice", "model", "stream_id", "output", "idempotency_key")
    )
    nothing |= {"format": "mp3", "since": "start"}
    speech = nothing | {"text": "t", "voice": "v", "model": "m", "idempotency_key": "o-1"}
    assert heard == [
        (("http://127.0.0.1:8080", "k"), nothing | {"prompt": "p", "format": "wav", "output": Path("out.wav")}),
        (("http://127.0.0.1:8080", "from environment"), nothing | {"lyrics": "夜空\n", "output": "-"}),
        (("http://s", "from environment"), nothing | {"stream_id": "st_1"}),
        (("http://127.0.0.1:8080", None), nothing | {"ticket": "wt_1", "stream_id": "st_1"}),
        (("http://127.0.0.1:8080", "from environment"), speech),
        (("http://127.0.0.1:8080", "from environment"), nothing | {"stream_id": "st_1", "since": "live"}),
        (("http://127.0.0.1:8080", "from environment"), nothing | {"stream_id": "st_1", "since": 9.5}),
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--prompt", "p", "--voice", "v"), "--voice goes with --text"),
        (("--text", "t", "--model", "m"), "say which with --voice"),
        (("--prompt", "p", "--since", "live"), "--since goes with --stream"),
        (("--stream", "s", "--model", "m"), "--model does not go with --stream"),
    ],
)
def test_options_that_would_do_nothing_are_a_mistake(
    flags: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than a song that is not what was asked for."""
    assert run("listen", "--key", "k", *flags) == 2
    assert words in capsys.readouterr().err


def test_what_is_heard_is_measured_where_it_can_be() -> None:
    """The picture's levels come from the codec room."""
    assert cli._measuring("audio/mpeg", 48000, 2) is not None
    assert cli._measuring("audio/flac", 48000, 2) is None


def test_listening_takes_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one the sentence names both places for it, and the demo's."""
    assert run("listen", "--prompt", "p") == 2
    said = capsys.readouterr().err
    assert "--key K" in said
    assert "WAVEGATE_KEY" in said


def test_lyrics_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, and one that is no text."""
    (tmp_path / "noise").write_bytes(b"\xff\xfe\xff")
    for name, reason in (("none", "No such file or directory"), ("noise", "it is not UTF-8 text")):
        assert run("listen", "--key", "k", "--lyrics-file", str(tmp_path / name)) == 2
        assert capsys.readouterr().err == f"wavegate: cannot read {tmp_path / name}: {reason}\n"


# -- tickets ---------------------------------------------------------------------------------------------------------


def test_a_ticket_is_all_that_standard_output_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Server, key, stream and time are passed on; the words about it go to standard error."""
    asked: list[tuple[Any, ...]] = []

    def mint(*arguments: Any) -> tuple[str, int]:
        asked.append(arguments)
        return "wt_1", 0

    monkeypatch.setattr(client_ticket, "mint", mint)
    assert run("ticket", "--key", "k") == 0
    assert capsys.readouterr() == ("wt_1\n", "good until 1970-01-01T00:00:00+00:00, once; it is shown only here\n")
    monkeypatch.setenv("WAVEGATE_KEY", "from environment")
    assert run("ticket", "--server", "http://s", "--stream", "st_1", "--ttl", "5", "--uses", "0") == 0
    assert "as often as you like" in capsys.readouterr().err
    assert asked == [("http://127.0.0.1:8080", "k", None, 60, 1), ("http://s", "from environment", "st_1", 5, 0)]


@pytest.mark.parametrize(("code", "ends"), [("bad_credentials", 1), ("unreachable", 1), ("invalid_server", 2)])
def test_a_ticket_that_is_refused_is_a_sentence(
    code: str, ends: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was asked and refused is 1, what could not be asked is 2."""

    def mint(*arguments: Any) -> tuple[str, int]:
        raise ClientError(code, "There is none.")

    monkeypatch.setattr(client_ticket, "mint", mint)
    assert run("ticket", "--key", "k") == ends
    assert capsys.readouterr() == ("", "wavegate: There is none.\n")


def test_a_ticket_takes_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    """As listening does."""
    assert run("ticket") == 2
    assert "WAVEGATE_KEY" in capsys.readouterr().err

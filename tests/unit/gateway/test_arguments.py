"""What may be typed behind `wavegate`.

Invariant under test: what is wrong by itself ends with 2 and the usage, before any command is asked.
It must not know what the commands do.
"""

import argparse

import pytest

from gateway import __version__
from gateway.arguments import Command, parser


def typed(*arguments: str) -> argparse.Namespace:
    return parser({name: lambda options: 0 for name in NAMES}).parse_args(arguments)


NAMES = ("serve", "simulate", "probe", "listen", "ticket", "keys new", "check-config", "bench", "default-config")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("serve", "--port", "eight"),
        ("serve", "extra"),
        ("keys",),
        ("keys", "new"),
        ("check-config",),
        ("listen",),
        ("listen", "--prompt", "a", "--stream", "b"),
        ("listen", "--stream", "b", "--since", "noon"),
        ("listen", "--stream", "b", "--since", "-1"),
        ("listen", "--stream", "b", "--since", "inf"),
        ("listen", "--prompt", "a", "--key", "k", "--ticket", "t"),
        ("ticket", "--ttl", "soon"),
        ("simulate", "--speed", "fast"),
        ("probe", "--format", "ogg"),
    ],
)
def test_wrong_usage_is_two(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser cannot make sense of ends with 2 and its usage, with nothing on standard output."""
    with pytest.raises(SystemExit) as ended:
        typed(*arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: wavegate")


@pytest.mark.parametrize("arguments", [("serve", "sk-topsecret"), ("serve", "--port", f"wg_{'topsecret' * 5}")])
def test_a_key_in_a_wrong_place_is_not_repeated(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What a service is started with ends up in a log."""
    with pytest.raises(SystemExit):
        typed(*arguments)
    said = capsys.readouterr().err
    assert "***" in said
    assert "topsecret" not in said


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` is the package's own."""
    with pytest.raises(SystemExit) as ended:
        typed("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"wavegate {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("simulate",),
        ("probe",),
        ("listen", "--prompt", "a"),
        ("ticket",),
        ("keys", "new", "acme"),
        ("check-config", "f"),
        ("bench", "fanout"),
        ("default-config",),
    ],
)
def test_each_command_runs_its_own(arguments: tuple[str, ...]) -> None:
    """What was typed is carried out by the command of that name."""
    asked: list[str] = []

    def command(name: str) -> Command:
        return lambda options: asked.append(name) or 0

    options = parser({name: command(name) for name in NAMES}).parse_args(arguments)
    assert options.run(options) == 0
    assert asked == [" ".join(arguments[:2]) if arguments[0] == "keys" else arguments[0]]

"""Conversion of plain values: the wording of mistakes, what is shown of a value, and what never is.

Invariant: one test row is one mistake with its full sentence, since the sentences are what people work with.
They must not know files or variables: values come from literals.
"""

from typing import Annotated, Any

import pytest

from gateway.config.convert import Converter, build
from gateway.config.kinds import SECRET
from gateway.config.schema import Config, Price, SpeechAlias, Tenant
from gateway.config.section import Section

HASH = "sha256:" + 64 * "a"


def mistakes(value: Any, section: type[Section] = Config, origin: str = "") -> list[str]:
    problems: list[str] = []
    Converter(problems, origin).section(section, value)
    return problems


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "the configuration: must be a mapping of keys, got a list"),
        ({"server": 5}, "server: must be a mapping of keys, got a whole number"),
        ({"server": {"port": 99999}}, "server.port: must be a port number from 0 to 65535, got 99999"),
        ({"server": {"port": "80"}}, "server.port: must be a port number from 0 to 65535, got '80'"),
        ({"server": {"port": True}}, "server.port: must be a port number from 0 to 65535, got true"),
        ({"server": {"port": None}}, "server.port: must be a port number from 0 to 65535, got null"),
        ({"server": {"port": {}}}, "server.port: must be a port number from 0 to 65535, got a mapping"),
        ({"server": {"host": 127}}, "server.host: must be text, got 127; put text in quotes"),
        ({"server": {"host": b"x"}}, "server.host: must be text, got something else"),
        (
            {"server": {"ping_timeout": -1.5}},
            "server.ping_timeout: must be a number of seconds greater than 0, got -1.5",
        ),
        ({"log": {"level": "loud"}}, "log.level: must be one of debug, info, warning, error, got 'loud'"),
        (
            {"upstream": {"workspace_id": "a.b"}},
            "upstream.workspace_id: must be 1 to 64 letters, digits, - and _ or null, got 'a.b'",
        ),
        ({"upstream": {"audio_hosts": "x"}}, "upstream.audio_hosts: must be a list, got 'x'"),
        ({"upstream": {"audio_hosts": ["x", 1]}}, "upstream.audio_hosts[1]: must be text, got 1; put text in quotes"),
        ({"tenants": {}}, "tenants: must be a list, got a mapping"),
        ({"tenants": [{}]}, "tenants[0].id: is missing"),
        ({"tenants": [None]}, "tenants[0].id: is missing"),
        ({"tenants": ["wg-key"]}, "tenants[0]: must be a mapping of keys, got text"),
        (
            {"tenants": [{"id": "a"}, {"id": "B"}]},
            "tenants[1].id: must be 1 to 64 small letters, digits, - and _, with a letter or digit first, got 'B'",
        ),
        (
            {"tenants": [{"id": "a", "limits": {"listeners": -1}}]},
            "tenants[0].limits.listeners: must be a whole number, 0 or more, got -1",
        ),
        ({"quota": {"prices": 3}}, "quota.prices: must be a mapping of names, got 3"),
        ({"quota": {"prices": {"m": 3}}}, "quota.prices.m: must be a mapping of keys, got a whole number"),
        ({"quota": {"prices": {7: {}}}}, "quota.prices.7: is no name; put it in quotes"),
        (
            {"quota": {"prices": {"m": {"per_second": -1}}}},
            "quota.prices.m.per_second: must be a number, 0 or more, got -1",
        ),
        (
            {"quota": {"prices": {"m": {"per_secnd": 1}}}},
            "quota.prices.m.per_secnd: unknown key; did you mean quota.prices.m.per_second?",
        ),
        ({"upstream": {"speech_aliases": {"a": {}}}}, "upstream.speech_aliases.a.model: is missing"),
        (
            {"upstream": {"speech_aliases": {"a": {"model": "m", "voices": {"x": 1}}}}},
            "upstream.speech_aliases.a.voices.x: must be text, got 1; put text in quotes",
        ),
    ],
)
def test_sentences(value: Any, problem: str) -> None:
    """A wrong value gives one sentence: the path, what it must be, what it is."""
    assert mistakes(value) == [problem]


def test_names_of_the_users_own() -> None:
    """A mapping whose names are free holds sections or texts, and one with nothing under it is empty."""
    problems: list[str] = []
    given = {
        "quota": {"prices": {"m": {"per_second": 2}}},
        "upstream": {"speech_aliases": {"tts-1": {"model": "m", "voices": {"alloy": "x"}}, "b": {"model": "m"}}},
    }
    config = build(Config, Converter(problems).section(Config, given))
    assert problems == []
    assert config.quota.prices == {"m": Price(per_second=2.0)}
    assert config.upstream.speech_aliases == {
        "tts-1": SpeechAlias(model="m", voices={"alloy": "x"}),
        "b": SpeechAlias(model="m"),
    }
    assert Converter(problems).section(Config, {"quota": {"prices": None}}) == {"quota": {"prices": {}}}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"server": {"prot": 1}}, "server.prot: unknown key; did you mean server.port?"),
        ({"servers": {}}, "servers: unknown key; did you mean server?"),
        ({"ping_timeout": 1}, "ping_timeout: unknown key; did you mean server.ping_timeout?"),
        ({"log": {"zzz": 1}}, "log.zzz: unknown key; known here: level, format, prompts, traces_endpoint"),
        ({"log": {8080: 1}}, "log.8080: unknown key; known here: level, format, prompts, traces_endpoint"),
        ({"log": {"a\nb": 1}}, "log.'a…': unknown key; known here: level, format, prompts, traces_endpoint"),
        ({"log": {"format :x": None}}, "log.'format…': unknown key; did you mean log.format?"),
        (
            {"upstream": {"api_key": "sk-0123456789"}},
            "upstream.api_key: unknown key; did you mean upstream.api_key_file?",
        ),
        ({"tenants": [{"id": "a", "kyes": []}]}, "tenants[0].kyes: unknown key; did you mean tenants[0].keys?"),
    ],
)
def test_unknown_keys(value: Any, problem: str) -> None:
    """An unknown key is named by its path, with the nearest key or the place where its name is known."""
    assert mistakes(value) == [problem]


@pytest.mark.parametrize(
    "value",
    [
        {"tenants": [{"id": "a", "keys": ["topsecret"]}]},
        {"tenants": [{"id": "a", "keys": "topsecret"}]},
        {"tenants": "topsecret"},
        {"tenants": ["topsecret"]},
        {"quota": {"store": "topsecret"}},
        {"cluster": {"redis_url": "redis//:topsecret@host"}},
        {"upstream": {"base_url": "ftp://me:topsecret@host"}},
        {"upstream": {"model": "sk-topsecret"}},
        {"upstream": {"api_key": "topsecret"}},
        {"upstream": {"sk-topsecret": 1}},
    ],
)
def test_secrets_are_not_shown(value: Any) -> None:
    """A value that is a credential, looks like one, or stands where one may stand, is in no sentence."""
    (problem,) = mistakes(value)
    assert "topsecret" not in problem


def test_secret_kind_is_shown() -> None:
    """Of a hidden value its kind is told, which is all that is needed to find the mistake."""

    class Door(Section, frozen=True):
        pin: Annotated[str, "Opens it.", SECRET] = ""

    assert mistakes({"pin": 4711}, Door) == ["pin: must be text, got a whole number that is not shown"]
    assert mistakes({"pin": None}, Door) == ["pin: must be text, got null"]


def test_long_values_are_cut() -> None:
    """A wrong value of any length makes a sentence of readable length."""
    (problem,) = mistakes({"log": {"level": "x" * 10_000}})
    assert problem.endswith("x...'")
    assert len(problem) < 200


def test_all_at_once() -> None:
    """Mistakes do not hide each other, and each ends with where its value came from."""
    value = {"server": {"port": -1, "host": 1}, "log": [], "tenants": [{"keys": ["x", HASH, "y"], "abandon": 3}]}
    problems = mistakes(value, origin=" (from somewhere)")
    assert [problem.split(":")[0] for problem in problems] == [
        "server.port",
        "server.host",
        "log",
        "tenants[0].keys[0]",
        "tenants[0].keys[2]",
        "tenants[0].abandon",
        "tenants[0].id",
    ]
    assert all(problem.endswith(" (from somewhere)") for problem in problems)


def test_good_values() -> None:
    """Good values come out in the schema's types, sections as dicts until they are built, lists of sections whole."""
    problems: list[str] = []
    value = {
        "server": {"ping_timeout": 3},
        "relay": None,
        "tenants": [{"id": "a", "keys": [HASH], "limits": {"listeners": 1}}, {"id": "b", "limits": None}],
    }
    found = Converter(problems).section(Config, value)
    assert problems == []
    assert found["server"] == {"ping_timeout": 3.0}
    assert found["relay"] == {}
    config = build(Config, found)
    assert config.server.ping_timeout == 3.0
    assert config.server.port == Config().server.port
    assert config.relay == Config().relay
    assert config.tenants[0].limits.listeners == 1
    assert config.tenants[1] == Tenant(id="b")


def test_nothing_under_a_list() -> None:
    """A list of sections whose entries are all commented out is empty."""
    assert Converter([]).section(Config, {"tenants": None}) == {"tenants": []}


def test_wrong_values_are_left_out() -> None:
    """A wrong key has no value afterwards, so that its default stands in for what is checked later."""
    value = {"server": {"port": -1, "workers": 2}, "tenants": 3, "upstream": {"audio_hosts": ["a", 2]}}
    found = Converter([]).section(Config, value)
    assert found == {"server": {"workers": 2}, "upstream": {}}

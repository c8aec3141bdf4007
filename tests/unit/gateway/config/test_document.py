"""The documented YAML: equal to the defaults, stable, complete, readable, and what deploy/ ships.

Invariant: the tests read the text as a file, through the loader that users have.
They must not know a single default: those belong to the schema.
"""

from pathlib import Path
from typing import Annotated

import pytest
import yaml
from msgspec import Meta

from gateway.config import document
from gateway.config.document import default_yaml
from gateway.config.load import load
from gateway.config.schema import Config, Tenant
from gateway.config.section import Section, keys_of

SHIPPED = Path(__file__).parents[4] / "deploy" / "wavegate.yaml"
TEXT = default_yaml()


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "wavegate.yaml"
    path.write_text(text, encoding="utf-8")
    result = load(path, {})
    assert result.warnings == []
    return result.config


def test_is_the_defaults(tmp_path: Path) -> None:
    """Loaded as a file, the text gives exactly the defaults, without a warning."""
    assert loaded(tmp_path, TEXT) == Config()


def test_shipped_file_is_the_text() -> None:
    """deploy/wavegate.yaml is this text; `wavegate default-config > deploy/wavegate.yaml` makes it so."""
    assert SHIPPED.read_text(encoding="utf-8") == TEXT


def test_every_key_is_documented() -> None:
    """Every key of the schema stands in the text, right below a comment."""
    lines = [line.lstrip("# ").removeprefix("- ") for line in TEXT.splitlines()]
    commented = [line.lstrip().startswith("#") for line in TEXT.splitlines()]

    def check(section: type[Section]) -> None:
        for key in keys_of(section):
            places = [place for place, line in enumerate(lines) if line.split(":")[0] == key.name]
            assert places, key.name
            assert all(commented[place - 1] for place in places), key.name
            if key.item:
                check(key.item)

    check(Config)


def test_example_can_be_uncommented(tmp_path: Path) -> None:
    """With the comment signs below `tenants` removed, as an editor does it, the example is one more tenant."""
    head, _, rest = TEXT.partition("\ntenants:\n")
    example, _, tail = rest.partition("\n\n")
    uncommented = "\n".join(line.replace("# ", "", 1) for line in example.splitlines())
    config = loaded(tmp_path, f"{head}\ntenants:\n{uncommented}\n\n{tail}")
    (tenant,) = config.tenants
    assert tenant.limits == Tenant(id="x").limits
    assert tenant.keys == ["sha256:" + 64 * "0"]
    assert config == Config(tenants=config.tenants)


def test_lines_fit() -> None:
    """No line is wider than the code is, none ends in a space, and sections stand apart."""
    assert max(len(line) for line in TEXT.splitlines()) <= 120
    assert all(line == line.rstrip() for line in TEXT.splitlines())
    assert TEXT.endswith("\n")
    assert not TEXT.endswith("\n\n")
    assert TEXT.count("\n\n") == len(keys_of(Config))


def test_other_readers_agree() -> None:
    """A YAML 1.1 reader sees the same values, so tools that edit the file do not break it."""
    raw = yaml.safe_load(TEXT)
    assert raw.pop("tenants") is None
    assert raw["server"]["host"] == Config().server.host
    assert raw["upstream"]["audio_hosts"] == Config().upstream.audio_hosts
    assert raw["quota"]["store"] == Config().quota.store


def test_values_that_need_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that YAML could take for something else is quoted, fractions stay, sizes are told in words."""

    class Odd(Section, frozen=True):
        text: Annotated[str, "Text."] = "yes"
        number: Annotated[str, "Number."] = "12:30"
        quoted: Annotated[str, "Quoted."] = 'a "b": #c'
        half: Annotated[float, "Half."] = 0.5
        flag: Annotated[bool, "Flag."] = True
        some_bytes: Annotated[int, Meta(ge=0), "Some."] = 1000
        more_bytes: Annotated[int, "More."] = 3072
        most_bytes: Annotated[int, "Most."] = 5 << 20
        no_bytes: Annotated[int, "None."] = 0

    class Whole(Section, frozen=True):
        """All of it."""

        odd: Odd = Odd()

    monkeypatch.setattr(document, "Config", Whole)
    text = default_yaml()
    assert yaml.safe_load(text)["odd"] == {key.name: key.default for key in keys_of(Odd)}
    lines = [line.strip() for line in text.splitlines()]
    assert 'text: "yes"' in lines
    assert "flag: true" in lines
    assert "some_bytes: 1000" in lines
    assert "more_bytes: 3072  # 3 KiB" in lines
    assert "most_bytes: 5242880  # 5 MiB" in lines
    assert "no_bytes: 0" in lines

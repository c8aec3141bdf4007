"""deploy/compose.yaml, judged by the schema of the Compose specification, and against the files that it names.

Invariant under test: what it mounts is there, who waits for whom can wait, nothing but what is meant is published, and
its names, ports and times are those of the configurations. No engine is asked: there is none with images.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from gateway.config.load import load
from tests.house.tree import ROOT

Need = Callable[[str], str]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return document


def seconds(text: str) -> float:
    (number,) = re.findall(r"^(\d+)s$", text)
    return float(number)


def test_it_is_what_the_specification_allows(need: Need, compose: dict[str, Any]) -> None:
    """And what it does not allow is told: a misspelt key, a condition that is none."""
    file = Path(need("npm:dclint")) / "schemas/compose.schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    judge = jsonschema.Draft7Validator(schema)
    assert not [error.message for error in judge.iter_errors(compose)]
    text = json.dumps(compose)
    for good, bad in (("read_only", "read_onli"), ("service_healthy", "service_happy"), ("healthcheck", "healtcheck")):
        assert list(judge.iter_errors(json.loads(text.replace(good, bad)))), bad


def test_every_service_is_locked_and_watched(compose: dict[str, Any]) -> None:
    """A root that cannot be written, no rights, a health check; ports for this machine only, none of them internal."""
    assert set(compose["services"]) == {
        *("gateway-1", "gateway-2", "proxy", "redis", "simulator", "prometheus", "grafana")
    }
    published = {}
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert "privileged" not in service, name
        published[name] = service.get("ports", [])
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert other in compose["services"]
    assert {name: ports for name, ports in published.items() if ports} == {
        "proxy": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_what_it_names_is_there(compose: dict[str, Any]) -> None:
    """Files and folders, secrets, configurations, networks and volumes."""
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set(), "configs": set()}
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source, target, *flags = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
                assert flags == ["ro"], f"{source} is ours, and not to be written"
            else:
                used["volumes"].add(source)
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", []))
        used["configs"] |= {config["source"] for config in service.get("configs", [])}
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for kind, names in used.items():
        assert names == set(compose[kind]), kind
    for given in [*compose["secrets"].values(), *compose["configs"].values()]:
        file = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", given["file"])
        assert (DEPLOY / file).is_file(), file


def test_names_ports_and_times_fit(compose: dict[str, Any]) -> None:
    """nginx, Prometheus and the gateways' configuration mean the services that are there."""
    services = compose["services"]
    upstreams = (DEPLOY / "proxy/nginx/wavegate.conf").read_text(encoding="utf-8")
    named = {(name, int(port)) for name, port in re.findall(r"^\s*server ([\w-]+):(\d+) ", upstreams, re.MULTILINE)}
    config = load(DEPLOY / "compose/wavegate.yaml", {}).config
    assert named == {("gateway-1", config.server.port), ("gateway-2", config.server.port)}
    targets = yaml.safe_load((DEPLOY / "observability/targets.compose.yml").read_text(encoding="utf-8"))
    assert [set(group["targets"]) for group in targets] == [
        {f"{name}:{config.server.internal_port}" for name in ("gateway-1", "gateway-2")}
    ]
    assert config.cluster.redis_url == "redis://redis:6379/0"
    simulator = services["simulator"]["command"]
    assert config.upstream.base_url == f"http://simulator:{simulator[simulator.index('--port') + 1]}"
    assert config.upstream.api_key_file == f"/run/secrets/{services['gateway-1']['secrets'][0]}"
    for name in ("gateway-1", "gateway-2"):
        drains = config.server.drain_delay + config.server.drain_timeout
        assert seconds(services[name]["stop_grace_period"]) >= drains + 15
    # The proxy's last listeners leave with the gateways.
    assert seconds(services["proxy"]["stop_grace_period"]) >= config.server.drain_timeout
    source = yaml.safe_load(
        (DEPLOY / "observability/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )
    assert source["datasources"][0]["url"] == "http://prometheus:9090"

"""deploy/kubernetes: built by kubectl's own kustomize, judged by Kubernetes' own schemas, and held together.

Invariant under test: what one manifest means by a name, a port or a label is what another one has, and times fit those
of the configuration. No cluster is asked.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from gateway.config.load import load
from metrics.catalogue import CATALOGUE, PREFIX
from tests.house.tree import ROOT

Need = Callable[[str], str]
Manifest = dict[str, Any]
FOLDER = ROOT / "deploy/kubernetes"
NAME = {"app.kubernetes.io/name": "wavegate"}


def read(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def _by_hand() -> list[Manifest]:
    """What kustomize makes of the folder, but for the namespace and the image."""
    (kustomization,) = read("kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    (file,) = generated["files"]
    key, _, place = file.partition("=")
    data = {key: (FOLDER / place).read_text(encoding="utf-8")}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generated["name"]}, "data": data}
    return [made, *(document for name in kustomization["resources"] for document in read(name))]


@pytest.fixture(scope="module")
def built() -> dict[str, Manifest]:
    """What would be applied, by kind and name. Built by kubectl where there is one."""
    if (kubectl := shutil.which("kubectl")) is None:
        documents = _by_hand()
    else:
        command = [kubectl, "kustomize", str(FOLDER)]
        made = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert (made.returncode, made.stderr) == (0, "")
        documents = list(yaml.safe_load_all(made.stdout))
        assert len(documents) == len(_by_hand())
        assert {document["metadata"].get("namespace", "wavegate") for document in documents} == {"wavegate"}
    return {f"{document['kind']} {document['metadata']['name']}": document for document in documents}


def test_kubernetes_allows_every_word(built: dict[str, Manifest]) -> None:
    """Strictly: a field that it does not know is a mistake, which is shown by making one."""
    version = kubernetes_validate.latest_version()
    hpa = read("hpa.yaml")
    for document in [*built.values(), *hpa]:
        kubernetes_validate.validate(document, version, strict=True)
    wrong = json.loads(json.dumps(built["Deployment wavegate"]).replace("readOnlyRootFilesystem", "readOnlyFilesystem"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_pods_have_no_rights_and_write_nowhere(built: dict[str, Manifest]) -> None:
    """As the standard `restricted` has it, which the namespace enforces."""
    labels = built["Namespace wavegate"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = built["Deployment wavegate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (
        pod["securityContext"] | {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        == (pod["securityContext"])
    )
    # The user of the image.
    text = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == [
        f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    ]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"].keys() == {"requests", "limits"}


def test_names_labels_and_ports_meet(built: dict[str, Manifest]) -> None:
    """Services, policies and budgets mean the pods; ports are those of the configuration."""
    deployment = built["Deployment wavegate"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    config = load(FOLDER / "config/wavegate.yaml", {}).config
    assert ports == {"public": config.server.port, "internal": config.server.internal_port}
    pods = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        built["Service wavegate"]["spec"]["selector"],
        built["Service wavegate-internal"]["spec"]["selector"],
        built["PodDisruptionBudget wavegate"]["spec"]["selector"]["matchLabels"],
        built["NetworkPolicy wavegate"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == pods == NAME
    named = {
        port["targetPort"]
        for service in ("wavegate", "wavegate-internal")
        for port in built[f"Service {service}"]["spec"]["ports"]
    }
    probes = {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert (named, probes) == ({"public", "internal"}, {"internal"})
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # The public service does not show the internal port.
    assert [port["targetPort"] for port in built["Service wavegate"]["spec"]["ports"]] == ["public"]
    backend = built["Ingress wavegate"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "wavegate", "port": {"name": built["Service wavegate"]["spec"]["ports"][0]["name"]}}


def test_files_and_times_fit_the_configuration(built: dict[str, Manifest], tmp_path: Path) -> None:
    """The configuration that is mounted is good, finds its key, and leaves time to drain."""
    pod = built["Deployment wavegate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    given = built[f"ConfigMap {volumes['config']['configMap']['name']}"]["data"]
    file = tmp_path / "wavegate.yaml"
    file.write_text(given["wavegate.yaml"], encoding="utf-8")
    loaded = load(file, {})
    assert container["args"] == ["serve", "--config", f"{mounts['config']}/wavegate.yaml"]
    assert loaded.config.upstream.api_key_file == f"{mounts['secret']}/dashscope.key"
    assert loaded.config.cluster.redis_url is not None
    server = loaded.config.server
    assert pod["terminationGracePeriodSeconds"] == server.drain_delay + server.drain_timeout + 15
    # By then it has been taken out of the endpoints.
    ready = container["readinessProbe"]
    assert server.drain_delay > ready["periodSeconds"] * ready["failureThreshold"]
    assert server.trusted_proxies


def test_what_scales_and_what_watches(need: Need, built: dict[str, Manifest], tmp_path: Path) -> None:
    """The autoscaler asks for what the adapter makes of a metric that gateways have; the monitor finds its port."""
    (hpa,) = read("hpa.yaml")
    target = hpa["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "wavegate")
    (adapter,) = read("adapter-values.yaml")
    (rule,) = adapter["rules"]["custom"]
    wanted = [metric["pods"]["metric"]["name"] for metric in hpa["spec"]["metrics"] if metric["type"] == "Pods"]
    assert wanted == [rule["name"]["as"]] == ["wavegate_listeners"]
    assert "wavegate_listeners" in {f"{PREFIX}_{metric.name}" for metric in CATALOGUE}
    series = rule["seriesQuery"].partition("{")[0]
    query = rule["metricsQuery"]
    for placeholder, put in (("Series", series), ("LabelMatchers", 'pod="a"'), ("GroupBy", "pod")):
        assert f"<<.{placeholder}>>" in query
        query = query.replace(f"<<.{placeholder}>>", put)
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "a", "rules": [{"record": "a:b", "expr": query}]}]}))
    judged = subprocess.run([need("promtool"), "check", "rules", rules], check=False, capture_output=True, timeout=30)
    assert judged.returncode == 0, judged.stderr
    (monitor,) = read("servicemonitor.yaml")
    service = built["Service wavegate-internal"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    scraped = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in scraped["scrape_configs"]}
    assert [one["replacement"] for one in endpoint["relabelings"] if one["targetLabel"] == "job"] == ["wavegate"]
    assert "wavegate" in jobs

"""The manifests: valid by Kubernetes' schemas, locked down, and with the configurations that the other meshes run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy/kubernetes"
BASE = KUBERNETES / "base"
VERSION = "1.33"


def objects() -> Iterator[dict[str, Any]]:
    resources = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {*resources, "kustomization.yaml"} == {file.name for file in BASE.iterdir()}
    for name in resources:
        yield from yaml.safe_load_all((BASE / name).read_text())


OBJECTS = list(objects())


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in OBJECTS if each["kind"] == kind]


def pods() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in of_kind("Deployment")}


def containers() -> list[dict[str, Any]]:
    return [each for pod in pods().values() for each in (*pod.get("initContainers", ()), *pod["containers"])]


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_every_object_is_valid(each: dict[str, Any]) -> None:
    kubernetes_validate.validate(each, VERSION, strict=True)


def test_the_validator_finds_a_mistake() -> None:
    wrong = {**of_kind("Service")[0], "spec": {"ports": "none"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_every_container_is_locked_down() -> None:
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods().values())
    for each in containers():
        context = each["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} == set(each["resources"])


def test_sidecars_are_native_ones() -> None:
    services = [pod for name, pod in pods().items() if name.startswith("service")]
    assert [[each["restartPolicy"] for each in pod["initContainers"]] for pod in services] == [["Always"], ["Always"]]


def test_services_that_the_front_names_are_headless() -> None:
    front = yaml.safe_load((ROOT / "front-envoy/envoy.yaml").read_text())
    sockets = [
        endpoint["endpoint"]["address"]["socket_address"]
        for cluster in front["static_resources"]["clusters"]
        for locality in cluster["load_assignment"]["endpoints"]
        for endpoint in locality["lb_endpoints"]
    ]
    headless = {
        (each["metadata"]["name"], each["spec"]["ports"][0]["port"])
        for each in of_kind("Service")
        if each["spec"].get("clusterIP") == "None"
    }
    assert {(socket["address"], socket["port_value"]) for socket in sockets} == headless


def test_the_admin_is_for_those_alone_that_are_let_in() -> None:
    policy = next(each for each in of_kind("NetworkPolicy") if each["metadata"]["name"] == "front-envoy")
    rules = [rule for rule in policy["spec"]["ingress"] if {"port": 8001} in rule["ports"]]
    assert [rule["from"] for rule in rules] == [[{"podSelector": {"matchLabels": {"envoymesh.admin": "allowed"}}}]]
    assert not any(port["port"] == 8001 for each in of_kind("Service") for port in each["spec"]["ports"])


def test_the_configurations_are_those_of_the_other_meshes() -> None:
    spec = importlib.util.spec_from_file_location("make_config", KUBERNETES / "make_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (BASE / "config.yaml").read_text() == module.document()
    data = {each["metadata"]["name"]: each["data"] for each in of_kind("ConfigMap")}
    assert data["front-envoy"]["envoy.yaml"] == (ROOT / "front-envoy/envoy.yaml").read_text()

"""deploy/kubernetes: objects that find each other, and a gateway that can live as they want it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from api_gateway.config.loader import load_settings
from api_gateway.config.settings import Settings
from tests.support.processes import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
LABELS = {"app.kubernetes.io/name": "api-gateway"}
KINDS = {
    "ServiceAccount/api-gateway": "v1",
    "ConfigMap/api-gateway": "v1",
    "Deployment/api-gateway": "apps/v1",
    "Service/api-gateway": "v1",
    "Service/api-gateway-admin": "v1",
    "PodDisruptionBudget/api-gateway": "policy/v1",
    "HorizontalPodAutoscaler/api-gateway": "autoscaling/v2",
    "NetworkPolicy/api-gateway": "networking.k8s.io/v1",
    "ServiceMonitor/api-gateway": "monitoring.coreos.com/v1",
}


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """Everything, by kind and name."""
    documents = [each for path in sorted(FOLDER.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}


@pytest.fixture(scope="module")
def pod(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The pods of the deployment."""
    spec: dict[str, Any] = objects["Deployment/api-gateway"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def settings(objects: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The configuration they run with."""
    path = tmp_path_factory.mktemp("kubernetes") / "gateway.yaml"
    path.write_text(objects["ConfigMap/api-gateway"]["data"]["gateway.yaml"])
    return load_settings(path, environ={}).settings


def test_kinds_and_versions(objects: dict[str, dict[str, Any]]) -> None:
    assert {name: each["apiVersion"] for name, each in objects.items()} == KINDS
    for each in objects.values():
        assert LABELS.items() <= each["metadata"]["labels"].items()


def test_everything_finds_the_pods(objects: dict[str, dict[str, Any]]) -> None:
    spec = objects["Deployment/api-gateway"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        objects["Service/api-gateway"]["spec"]["selector"],
        objects["Service/api-gateway-admin"]["spec"]["selector"],
        objects["PodDisruptionBudget/api-gateway"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy/api-gateway"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    reference = objects["HorizontalPodAutoscaler/api-gateway"]["spec"]["scaleTargetRef"]
    assert (reference["kind"], reference["name"]) == ("Deployment", "api-gateway")
    wanted = objects["ServiceMonitor/api-gateway"]["spec"]["selector"]["matchLabels"]
    matched = [name for name, each in objects.items() if wanted.items() <= each["metadata"]["labels"].items()]
    assert [name for name in matched if name.startswith("Service/")] == ["Service/api-gateway-admin"]


def test_ports_are_those_of_the_configuration(
    objects: dict[str, dict[str, Any]], pod: dict[str, Any], settings: Settings
) -> None:
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.server.port, "admin": settings.admin.port}
    assert settings.server.host == settings.admin.host == "0.0.0.0"
    (public,) = objects["Service/api-gateway"]["spec"]["ports"]
    (admin,) = objects["Service/api-gateway-admin"]["spec"]["ports"]
    assert (public["targetPort"], admin["targetPort"]) == ("http", "admin")
    (endpoint,) = objects["ServiceMonitor/api-gateway"]["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (admin["name"], "/metrics")


def test_operators_ports_are_open_to_operators_alone(objects: dict[str, dict[str, Any]]) -> None:
    """H21."""
    rules = objects["NetworkPolicy/api-gateway"]["spec"]["ingress"]
    open_to = {rule["ports"][0]["port"]: rule.get("from") for rule in rules}
    assert open_to["http"] is None
    assert open_to["admin"]


def test_probes_ask_for_what_they_are_for(pod: dict[str, Any]) -> None:
    """A backend that is away takes a pod out of service and never restarts it (semantics 45)."""
    (container,) = pod["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/health/live",
        "readiness": "/health/ready",
        "liveness": "/health/live",
    }
    assert {get["port"] for get in asked.values()} == {"admin"}


def test_a_drain_has_the_time_it_needs(pod: dict[str, Any], settings: Settings) -> None:
    needed_s = (settings.server.shutdown_delay_ms + settings.server.drain_timeout_ms) / 1000
    assert pod["terminationGracePeriodSeconds"] > needed_s + 5


def test_pods_have_no_privileges_and_may_write_where_the_gateway_must(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"config": "/etc/gateway", "shared": "/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
    assert container["args"][-1] == "/etc/gateway/gateway.yaml"


def test_one_pod_can_always_be_missed(objects: dict[str, dict[str, Any]]) -> None:
    scale = objects["HorizontalPodAutoscaler/api-gateway"]["spec"]
    assert scale["minReplicas"] > objects["PodDisruptionBudget/api-gateway"]["spec"]["maxUnavailable"]
    assert "replicas" not in objects["Deployment/api-gateway"]["spec"]

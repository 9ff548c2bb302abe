"""docker-compose.yml and what it mounts: names, ports and files that fit together."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from api_gateway.config.loader import load_settings
from tests.stack.dashboards import DASHBOARDS, STACK, load, panel_queries, panels
from tests.support.processes import ROOT

SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "logging", "mem_limit",
    "networks", "pids_limit", "ports", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
"""Of the Compose specification, as far as we use it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file, with its anchors resolved."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_shape(compose: dict[str, Any]) -> None:
    assert set(compose) == {"name", "x-service", "services", "volumes"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        assert "image" in service
        assert not service["image"].endswith(":latest")


def test_images_of_others_are_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "build" not in service:
            assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_every_container_is_bounded(compose: dict[str, Any]) -> None:
    """Memory, processes, log files; and no privileges but those of Alloy, which talks to Docker's socket."""
    for name, service in compose["services"].items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["pids_limit"] and service["logging"]["options"]["max-size"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert name == "alloy" or service["cap_drop"] == ["ALL"], name


def test_who_is_waited_for_tells_when_it_is_ready(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        needs = service.get("depends_on", {})
        for needed in needs if isinstance(needs, dict) else ():
            if needs[needed]["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][needed], (name, needed)


def test_ports_are_those_of_the_readme_and_of_this_machine_alone(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {
        "gateway": ["127.0.0.1:8080:8080"],
        "grafana": ["127.0.0.1:3000:3000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "tempo": ["127.0.0.1:3200:3200"],
    }
    login = compose["services"]["grafana"]["environment"]
    assert (login["GF_SECURITY_ADMIN_USER"], login["GF_SECURITY_ADMIN_PASSWORD"]) == ("admin", "admin")


def test_what_is_mounted_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                assert mode == ["ro"]
            elif not source.startswith("/"):
                assert source in compose["volumes"]


def test_targets_are_stages_of_the_dockerfile(compose: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    built = [service["build"] for service in compose["services"].values() if "build" in service]
    assert {build["target"] for build in built} <= stages


def test_every_address_is_a_service_that_listens_there(compose: dict[str, Any]) -> None:
    """What the parts call each other in their own files."""
    names = set(compose["services"]) | set(compose["services"]["demo"]["networks"]["default"]["aliases"])
    ports = {
        "gateway": {"8080"}, "user-service": {"50051"}, "auth-service": {"50052"}, "prometheus": {"9090"},
        "tempo": {"3200", "4317"}, "loki": {"3100"},
    }  # fmt: skip
    files = [path for path in STACK.rglob("*") if path.suffix in (".yaml", ".yml", ".alloy")]
    found = [match for path in files for match in re.findall(r"https?://([\w-]+):(\d+)", path.read_text())]
    found += re.findall(r'"(gateway):(\d+)"', (STACK / "prometheus.yml").read_text())
    assert len(found) > 8
    for name, port in found:
        assert name in names
        assert port in ports[name]


def test_the_gateways_configuration_is_right() -> None:
    settings = load_settings(STACK / "gateway.yaml", environ={}).settings
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8080)
    assert settings.observability.tempo_endpoint == "http://tempo:4317"


def sources() -> dict[str, dict[str, Any]]:
    text = (STACK / "grafana" / "provisioning" / "datasources" / "datasources.yaml").read_text()
    return {source["uid"]: source for source in yaml.safe_load(text)["datasources"]}


def test_sources_lead_to_each_other() -> None:
    """From a duration to its trace, from a trace to its lines and figures, from a line to its trace."""
    known = sources()
    (exemplar,) = known["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplar["name"], exemplar["datasourceUid"]) == ("trace_id", "tempo")
    (derived,) = known["loki"]["jsonData"]["derivedFields"]
    line = b'{"fields":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}'.decode()
    found = re.search(derived["matcherRegex"], line)
    assert found is not None
    assert (found[1], derived["datasourceUid"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "tempo")
    tempo = known["tempo"]["jsonData"]
    assert (tempo["tracesToLogsV2"]["datasourceUid"], tempo["tracesToMetrics"]["datasourceUid"]) == (
        "loki",
        "prometheus",
    )
    for query in tempo["tracesToMetrics"]["queries"]:
        assert "$$__tags" in query["query"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_are_well_formed(path: Any) -> None:
    board = load(path.stem)
    boards = [load(each.stem) for each in DASHBOARDS]
    assert [each["uid"] for each in boards].count(board["uid"]) == 1
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels(board):
        assert panel["title"]
        assert panel["datasource"]["uid"] in ("${datasource}", *sources())


def test_queries_of_lines_use_labels_that_alloy_gives() -> None:
    """In the selector labels of streams; behind it what travels beside a line."""
    config = (STACK / "config.alloy").read_text()
    (labels,) = re.findall(r"stage\.labels \{\s+values = \{(.*?)\}", config)
    (beside,) = re.findall(r"stage\.structured_metadata \{\s+values = \{(.*?)\}", config)
    queries = [query for query in panel_queries() if not query.is_prometheus]
    assert {query.dashboard for query in queries} == {"overview", "backends", "security"}
    for query in queries:
        selector, _, filters = query.expression.partition("}")
        assert set(re.findall(r"(\w+)=", selector)) <= {"service_name", *re.findall(r"(\w+) =", labels)}
        assert set(re.findall(r"(\w+)=", filters)) <= set(re.findall(r"(\w+) =", beside))


def test_lines_of_backends_have_targets_that_speak_of_them() -> None:
    """Every target that the panel names is one that the gateway's source has."""
    (query,) = (query for query in panel_queries() if not query.is_prometheus and query.dashboard == "backends")
    (names,) = re.findall(r'target=~"api_gateway\.\(([\w|]+)\)"', query.expression)
    source = "".join(path.read_text() for path in (ROOT / "src" / "api_gateway").rglob("*.py"))
    for name in names.split("|"):
        assert f'get_logger("api_gateway.{name}")' in source

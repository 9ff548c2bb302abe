"""A real Prometheus scrapes two gateways under mixed traffic; every query that is shipped finds what it looks for.

The traffic lasts until a breaker has opened and closed again, and at least `STACK_TRAFFIC_S`; with `make dashboards` a
minute.
"""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.stack.configuration import stack_config
from tests.stack.dashboards import (
    COMPARISON,
    PanelQuery,
    alert_rules,
    expand,
    panel_queries,
    variable_queries,
)
from tests.stack.prometheus import Prometheus, Series, running_prometheus
from tests.stack.traffic import Traffic
from tests.support.gateway import eventually, start_gateway
from tests.support.processes import start_python
from tests.support.token_factory import key_set, rsa_key

TRAFFIC_S = float(os.environ.get("STACK_TRAFFIC_S", "0"))
RATE_INTERVAL = "4s"
"""What Grafana takes for a scrape interval of one second: four times that."""
OUTAGE_S = 2

PANELS = [query for query in panel_queries() if query.is_prometheus]


@dataclass(frozen=True, slots=True)
class Scene:
    """What was scraped, and when."""

    prometheus: Prometheus
    start_s: float
    end_s: float


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two workers with the stack's own configuration, one with a key set, traffic, trouble; then silence."""
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        serving_keys() as keys_url,
        start_python("api_gateway.demo.server") as demo,
        start_gateway(stack_config(demo.ready)) as gateway,
        start_gateway(with_keys(demo.ready, keys_url)) as second,
    ):
        targets = [f"127.0.0.1:{each.port}" for each in (gateway, second)]
        with running_prometheus(directory, targets) as prometheus:
            eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
            gateway.wait_until_routed("/api/users/1")
            eventually(lambda: prometheus.scrapes() >= 2, "both targets were scraped")
            start_s = time.time()
            traffic = Traffic(gateway.port)
            traffic.start()
            wait_for_scrapes(prometheus, 3)
            traffic.begin_outage(OUTAGE_S)
            eventually(lambda: breaker_state(prometheus) == 2, "the breaker opened")
            eventually(lambda: breaker_state(prometheus) == 0, "the breaker closed again")
            time.sleep(max(0.0, start_s + TRAFFIC_S - time.time()))
            traffic.stop()
            wait_for_scrapes(prometheus, 2)
            yield Scene(prometheus, start_s, time.time())


def with_keys(ports: dict[str, Any], url: str) -> dict[str, Any]:
    """Return the configuration of a gateway that validates tokens by a key set."""
    return {
        "services": {"user-service": {"endpoint": f"http://127.0.0.1:{ports['user_port']}"}},
        "auth": {"jwt": {"jwks_url": url}},
    }


@contextmanager
def serving_keys() -> Iterator[str]:
    """Serve a key set."""
    body = key_set(rsa_key())

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


def wait_for_scrapes(prometheus: Prometheus, count: int) -> None:
    """Wait until both gateways were scraped a few times more."""
    wanted = prometheus.scrapes() + count
    eventually(lambda: prometheus.scrapes() >= wanted, f"{count} more scrapes")


def breaker_state(prometheus: Prometheus) -> float:
    """Return the state of the user service's breaker as Prometheus knows it."""
    ((_, (state,)),) = prometheus.at_once('max(api_gateway_circuit_breaker_state{service="user-service"})')
    return state


@pytest.mark.parametrize("query", PANELS, ids=lambda query: query.name)
def test_every_panel_shows_something(scene: Scene, query: PanelQuery) -> None:
    """The bar of dashboards: data, and of the right kind."""
    expression = expand(query.expression, rate_interval=RATE_INTERVAL)
    if query.target["instant"]:
        found = scene.prometheus.at_once(expression)
    else:
        found = scene.prometheus.over(expression, scene.start_s, scene.end_s)
    shown = [values for _, values in found if values]
    assert shown, f"{expression}: {found}"
    assert query.legend_labels <= set.intersection(*(set(labels) for labels, _ in found))
    check_kind(query, found)


def check_kind(query: PanelQuery, found: list[Series]) -> None:
    numbers = [number for _, values in found for number in values]
    unit = query.panel["fieldConfig"]["defaults"]["unit"]
    assert min(numbers) >= 0
    if unit == "percentunit":
        assert max(numbers) <= 1
    if unit == "s":
        assert max(numbers) < 3600
    if query.panel["type"] == "heatmap":
        assert {"0.005", "+Inf"} <= {labels["le"] for labels, _ in found}
    if query.panel["type"] == "stat" and not query.legend_labels:
        assert len(found) == 1
    choices = {
        value for mapping in query.panel["fieldConfig"]["defaults"].get("mappings", ()) for value in mapping["options"]
    }
    if choices:
        assert {f"{number:g}" for number in numbers} <= choices


@pytest.mark.parametrize(("name", "metric", "label"), variable_queries())
def test_variables_have_choices(scene: Scene, name: str, metric: str, label: str) -> None:
    choices = scene.prometheus.get(f"label/{label}/values", **{"match[]": metric})
    assert len(choices) >= 2, (name, choices)


@pytest.mark.parametrize(
    "query", [query for query in PANELS if "$route" in query.expression], ids=lambda query: query.name
)
def test_one_choice_gives_no_more_than_all(scene: Scene, query: PanelQuery) -> None:
    """A route with every character that a regular expression could mistake, as Grafana escapes it."""
    chosen = expand(query.expression, rate_interval=RATE_INTERVAL, chosen="/api/users/:id")
    every = expand(query.expression, rate_interval=RATE_INTERVAL)
    found = scene.prometheus.over(chosen, scene.start_s, scene.end_s)
    assert {labels.get("route", "/api/users/:id") for labels, _ in found} <= {"/api/users/:id"}
    assert len(found) <= len(scene.prometheus.over(every, scene.start_s, scene.end_s))


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_every_alert_looks_at_something(scene: Scene, rule: dict[str, Any]) -> None:
    """An alert whose series do not exist would be silent for ever: with `bool`, each says yes or no."""
    asked = COMPARISON.sub(r" \1 bool \2", rule["expr"])
    assert asked != rule["expr"], "an alert ends in a comparison with a number"
    found = scene.prometheus.over(asked, scene.start_s, scene.end_s)
    answers = {number for _, values in found for number in values}
    assert answers
    assert answers <= {0.0, 1.0}


def test_prometheus_finds_no_fault_with_the_rules(scene: Scene) -> None:
    groups = scene.prometheus.get("rules")["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert rules == {rule["alert"]: "ok" for rule in alert_rules()}


def test_exemplars_lead_to_traces(scene: Scene) -> None:
    """As Grafana asks for them beside a panel of durations."""
    found = scene.prometheus.get(
        "query_exemplars",
        query="api_gateway_request_duration_seconds_bucket",
        start=scene.start_s,
        end=scene.end_s,
    )
    trace_ids = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert trace_ids
    assert all(len(trace_id) == 32 for trace_id in trace_ids)
    assert {series["seriesLabels"]["route"] for series in found} >= {"/api/users/:id"}

"""The dashboards and alerts as they are shipped: panels, queries, and what Grafana makes of the variables in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.processes import ROOT

STACK = ROOT / "deploy" / "stack"
DASHBOARDS = sorted((STACK / "grafana" / "dashboards").glob("*.json"))
COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) ([\d.]+)$")
"""How every alert ends: so that its value can be looked at even when it is silent."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of one panel."""

    dashboard: str
    panel: Mapping[str, Any]
    target: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.dashboard}: {self.panel['title']} {self.target['refId']}"

    @property
    def expression(self) -> str:
        """PromQL or LogQL with Grafana's variables."""
        expression: str = self.target["expr"]
        return expression

    @property
    def is_prometheus(self) -> bool:
        """Whether Prometheus answers it."""
        return bool(self.target["datasource"]["type"] == "prometheus")

    @property
    def legend_labels(self) -> set[str]:
        """Labels that its legend shows."""
        return set(re.findall(r"\{\{(\w+)\}\}", self.target.get("legendFormat", "")))


def load(name: str) -> dict[str, Any]:
    """Return a dashboard by the name of its file."""
    document: dict[str, Any] = json.loads((STACK / "grafana" / "dashboards" / f"{name}.json").read_text())
    return document


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Iterate over the panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def panel_queries() -> list[PanelQuery]:
    """Return every query of every panel."""
    return [
        PanelQuery(path.stem, panel, target)
        for path in DASHBOARDS
        for panel in panels(json.loads(path.read_text()))
        for target in panel["targets"]
    ]


def variable_queries() -> list[tuple[str, str, str]]:
    """Return metric and label of every variable that asks Prometheus for its choices, with its name."""
    found = []
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
                assert match is not None, variable
                found.append((variable["name"], match[1], match[2]))
    return found


def expand(expression: str, *, rate_interval: str, chosen: str = ".*") -> str:
    """Return PromQL as Grafana sends it: variables of choices stand for all, or for `chosen`."""
    text = expression.replace("$__rate_interval", rate_interval)
    text = re.sub(r"\$(route|service)\b", lambda _: chosen, text)
    assert "$" not in text, text
    return text


def alert_rules() -> list[dict[str, Any]]:
    """Return every alert."""
    document = yaml.safe_load((STACK / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]

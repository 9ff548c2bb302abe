"""The rules of alerts as Prometheus's own tool sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.stack.dashboards import STACK, alert_rules
from tests.support.processes import ROOT

CASES = Path(__file__).with_name("alerts_test.yml")


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    assert program is not None, "promtool is missing: scripts/install-system-packages"
    done = subprocess.run((program, *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_and_rules_are_well_formed() -> None:
    assert "SUCCESS" in promtool("check", "config", str(STACK / "prometheus.yml"))
    assert f"{len(alert_rules())} rules found" in promtool("check", "rules", str(STACK / "alerts.yml"))


def test_alerts_speak_and_are_silent_when_they_should(tmp_path: Path) -> None:
    """Each with figures that must wake somebody, and with figures that must not."""
    text = CASES.read_text().replace("ALERT_COUNT", str(len(alert_rules())), 1)
    cases = tmp_path / "cases.yml"
    cases.write_text(text.replace("[ALERTS]", f"[{STACK / 'alerts.yml'}]", 1))
    assert "SUCCESS" in promtool("test", "rules", str(cases))
    assert all(f"alertname: {rule['alert']} }}" in text for rule in alert_rules()), (
        "each must be quiet when all is well"
    )


def test_alerts_tell_who_reads_them_and_what_to_do() -> None:
    for rule in alert_rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} == set(rule["annotations"])
        assert rule["for"]


def test_the_document_lists_them_all() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (page|ticket) \|", page, re.MULTILINE)
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in alert_rules()]

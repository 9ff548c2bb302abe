"""The lines that the demo prints. That they work is shown end to end."""

from __future__ import annotations

import subprocess

import pytest

from api_gateway.cli.tour import lines, tour

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize("with_auth", [False, True], ids=["open", "with tokens"])
def test_each_stop_is_a_shell_command_with_a_title(with_auth: bool) -> None:
    for stop in tour(URL, with_auth=with_auth):
        assert stop.title
        assert f"curl -i {URL}/" in stop.command.replace("'", "").replace("-X PUT ", "").replace("-X DELETE ", "")
        subprocess.run(["sh", "-n", "-c", stop.command], check=True)


def test_statuses_are_promised_in_the_comments() -> None:
    first, second = lines(tour(URL, with_auth=False))[:2]
    assert first == "# create a user (201)"
    assert second.startswith(f"curl -i {URL}/api/users -d '")


@pytest.mark.parametrize(
    ("with_auth", "statuses"),
    [(False, {200, 201, 400, 404, 429, 503}), (True, {200, 401, 403, 429})],
    ids=["open", "with tokens"],
)
def test_good_and_bad_answers_are_shown(with_auth: bool, statuses: set[int]) -> None:
    assert {stop.status for stop in tour(URL, with_auth=with_auth)} == statuses


def test_operators_endpoints_are_shown_last() -> None:
    for with_auth in (False, True):
        *_, health, metrics = tour(URL, with_auth=with_auth)
        assert health.command.endswith("/health")
        assert metrics.command.endswith("/metrics")

"""Which keys and kinds of value may stand where."""

from __future__ import annotations

import pytest

from api_gateway.config.keys import (
    is_list,
    is_secret,
    known_keys,
    may_be_nothing,
    nearest,
    section_at,
    sections_with,
    takes_only_text,
)
from api_gateway.config.problem import KeyPath
from api_gateway.config.section import Section
from api_gateway.config.settings import (
    CircuitBreakerSettings,
    JwtSettings,
    RouteOverride,
    ServiceSettings,
    Settings,
)


@pytest.mark.parametrize(
    ("path", "section"),
    [
        pytest.param((), Settings, id="file"),
        pytest.param(("services", "any"), ServiceSettings, id="free_key"),
        pytest.param(("services", "any", "circuit_breaker"), CircuitBreakerSettings, id="nested"),
        pytest.param(("auth", "jwt"), JwtSettings, id="optional"),
        pytest.param(("route_overrides", 3), RouteOverride, id="entry"),
        pytest.param(("services",), None, id="free_keys_are_no_section"),
        pytest.param(("server", "port"), None, id="value"),
        pytest.param(("nowhere", "at", "all"), None, id="unknown"),
        pytest.param(("route_overrides", "x"), None, id="key_in_a_list"),
    ],
)
def test_section_at_follows_the_settings(path: KeyPath, section: type[Section] | None) -> None:
    assert section_at(path) is section


def test_known_keys_are_those_of_the_section() -> None:
    assert known_keys(("services", "x", "circuit_breaker")) == (
        "failure_threshold",
        "success_threshold",
        "timeout_seconds",
    )
    assert known_keys(("services",)) == ()


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        # is_list, takes_only_text, may_be_nothing, is_secret
        pytest.param(("server", "port"), (False, False, False, False), id="number"),
        pytest.param(("server", "host"), (False, True, False, False), id="text"),
        pytest.param(("log", "level"), (False, True, False, False), id="choice"),
        pytest.param(("services", "x", "tls_ca_cert_path"), (False, True, True, False), id="optional_path"),
        pytest.param(("auth", "service_endpoint"), (False, True, True, False), id="optional_checked_text"),
        pytest.param(("auth", "jwt", "secret"), (False, True, True, True), id="secret"),
        pytest.param(("auth", "jwt", "secret", 0), (False, False, False, True), id="below_a_secret"),
        pytest.param(("auth", "jwt", "audience"), (True, False, True, False), id="text_or_list"),
        pytest.param(("trusted_proxies",), (True, False, False, False), id="list"),
        pytest.param(("unknown",), (False, False, False, False), id="unknown"),
    ],
)
def test_kind_of_value(path: KeyPath, answers: tuple[bool, bool, bool, bool]) -> None:
    assert (is_list(path), takes_only_text(path), may_be_nothing(path), is_secret(path)) == answers


@pytest.mark.parametrize(
    ("word", "found"),
    [
        pytest.param("timout_ms", "timeout_ms", id="letter_missing"),
        pytest.param("Timeout-MS", "timeout_ms", id="case_and_dash"),
        pytest.param("zzz", "", id="nothing_like_it"),
    ],
)
def test_nearest_known_key(word: str, found: str) -> None:
    assert nearest(word, known_keys(("services", "x"))) == found


def test_key_in_the_wrong_place_is_found_in_its_section() -> None:
    assert sections_with("tempo_endpoint") == (("observability",),)
    assert sections_with("nonsense") == ()

"""From files, options and variables to settings."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.config.keys import known_keys
from api_gateway.config.loader import MAX_FILE_BYTES, PATH_VARIABLE, load_settings
from api_gateway.config.problem import ConfigError, Problem
from api_gateway.config.settings import Settings
from tests.support.contract_file import CONTRACT as EXAMPLE

SMALLEST = 'services:\n  users:\n    endpoint: "http://users:50051"\n'


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | bytes, environ: dict[str, str] | None = None, backends: tuple[str, ...] = ()) -> Settings:
    file = Path("g.yaml")
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(file, environ=environ or {}, backends=backends).settings


def refused(path: Path | None, environ: dict[str, str] | None = None, backends: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ=environ or {}, backends=backends)
    return str(caught.value)


def test_example_of_the_contract_loads_as_it_is() -> None:
    settings = load(EXAMPLE)
    written = yaml.safe_load(EXAMPLE)
    for section in ("server", "services", "auth", "rate_limit", "observability", "discovery"):
        assert_holds(settings.model_dump()[section], written[section])
    assert settings.route_overrides[0].http_path == "/api/v2/users/:id"


def assert_holds(loaded: object, written: object) -> None:
    if isinstance(written, dict):
        assert isinstance(loaded, dict)
        for key, value in written.items():
            assert_holds(loaded[key], value)
    else:
        assert loaded == written


def test_tls_keys_of_the_contract_load() -> None:
    settings = load(
        SMALLEST
        + '    tls_enabled: true\n    tls_domain: "secure-service.internal"\n    tls_ca_cert_path: "/path/to/ca.pem"\n'
        + '    tls_client_cert_path: "/path/to/c.pem"\n    tls_client_key_path: "/path/to/k.pem"\n'
    )
    assert settings.services["users"].tls_ca_cert_path == Path("/path/to/ca.pem")


def test_smallest_file_has_every_default_of_the_contract() -> None:
    """Defaults are the numbers of the contract's example; sections that are left out are switched off."""
    settings = load(SMALLEST)
    users = settings.services["users"]
    assert (settings.server.port, settings.server.request_timeout_ms) == (8080, 30_000)
    assert (users.timeout_ms, users.connection_pool_size, users.auto_discover, users.is_tls) == (5000, 10, True, False)
    assert users.circuit_breaker.model_dump() == {
        "failure_threshold": 5,
        "success_threshold": 2,
        "timeout_seconds": 60,
    }
    assert settings.auth is None
    assert not settings.rate_limit.enabled
    assert settings.observability.tempo_endpoint is None
    assert not settings.cors.enabled
    assert settings.trusted_proxies == []
    assert (settings.discovery.enabled, settings.discovery.refresh_interval_seconds) == (True, 300)
    assert settings.body_limit.default_limit == 10 * 1024 * 1024
    rate_limit = settings.rate_limit
    assert (rate_limit.requests_per_minute, rate_limit.window_seconds) == (100, 60)
    observability = settings.observability
    assert (observability.otlp_timeout_secs, observability.service_name) == (3, "api-gateway")
    assert (observability.max_events_per_span, observability.max_attributes_per_span) == (64, 16)
    auth = load(SMALLEST + "auth: {service_endpoint: 'http://auth:1'}").auth
    assert auth is not None
    assert (auth.timeout_ms, auth.cache_ttl_seconds, auth.default_policy) == (3000, 30, "require_auth")


class TestLookup:
    """Which file is read."""

    def test_option_wins_over_variable_and_default(self) -> None:
        Path("config").mkdir()
        for number, name in enumerate(("option.yaml", "variable.yaml", "config/gateway-config.yaml"), start=1):
            Path(name).write_text(SMALLEST + f"server: {{port: {number}}}")
        environ = {PATH_VARIABLE: "variable.yaml"}
        assert load_settings(Path("option.yaml"), environ=environ).settings.server.port == 1
        assert load_settings(None, environ=environ).settings.server.port == 2
        loaded = load_settings(None, environ={PATH_VARIABLE: ""})
        assert (loaded.settings.server.port, loaded.origin) == (3, "config/gateway-config.yaml")

    def test_backends_need_no_file_and_leave_the_default_file_alone(self) -> None:
        Path("config").mkdir()
        Path("config/gateway-config.yaml").write_text("not: [read")
        loaded = load_settings(None, environ={}, backends=["http://localhost:50051"])
        assert loaded.origin == "--backend"
        assert loaded.settings.services["localhost-50051"].endpoint == "http://localhost:50051"

    def test_backends_add_to_a_named_file(self) -> None:
        Path("g.yaml").write_text(SMALLEST)
        loaded = load_settings(Path("g.yaml"), environ={}, backends=["http://localhost:50051"])
        assert list(loaded.settings.services) == ["users", "localhost-50051"]
        assert loaded.origin == "g.yaml and --backend"

    def test_variables_alone_are_enough(self) -> None:
        environ = {"API_GATEWAY__SERVICES__USER_SERVICE__ENDPOINT": "http://users:50051"}
        loaded = load_settings(None, environ=environ)
        assert list(loaded.settings.services) == ["user-service"]
        assert (loaded.origin, loaded.overrides) == ("environment variables", tuple(environ))

    def test_without_anything_the_ways_out_are_named(self) -> None:
        told = refused(None)
        for way in ("config/gateway-config.yaml", "--config", "GATEWAY_CONFIG_PATH", "--backend"):
            assert way in told


@pytest.mark.parametrize(
    ("backends", "keys"),
    [
        pytest.param(("http://localhost:50051",), ["localhost-50051"], id="host_and_port"),
        pytest.param(("https://Users.Internal:443",), ["users.internal-443"], id="domain"),
        pytest.param(("dns:///users:1",), ["users-1"], id="dns"),
        pytest.param(("http://[fd00::1]:5",), ["fd00-1-5"], id="ipv6"),
        pytest.param(("http://a:1", "https://a:1"), ["a-1", "a-1-2"], id="same_name_twice"),
        pytest.param(("http://a:1", "http://a:1"), ["a-1"], id="same_address_twice"),
    ],
)
def test_backend_is_named_after_its_address(backends: tuple[str, ...], keys: list[str]) -> None:
    settings = load_settings(None, environ={}, backends=backends).settings
    assert list(settings.services) == keys


def test_backend_that_is_no_address_is_named() -> None:
    told = refused(None, backends=("localhost:50051", "http://x"))
    assert [line.partition(": services.")[0] for line in told.splitlines()] == [
        "--backend http://x",
        "--backend localhost:50051",
    ]


def test_variables_win_over_file_and_backends() -> None:
    environ = {
        "API_GATEWAY__SERVER__PORT": "9000",
        "API_GATEWAY__SERVICES__USERS__TIMEOUT_MS": "7",
        "API_GATEWAY__SERVICES__A_1__TIMEOUT_MS": "8",
    }
    settings = load(SMALLEST + "server: {port: 1}", environ, ("http://a:1",))
    assert settings.server.port == 9000
    assert settings.services["users"].timeout_ms == 7
    assert settings.services["a-1"].timeout_ms == 8


def test_wrong_value_of_a_variable_is_told_with_its_name() -> None:
    Path("g.yaml").write_text(SMALLEST)
    told = refused(Path("g.yaml"), {"API_GATEWAY__SERVER__PORT": "x"})
    assert told == 'environment variable API_GATEWAY__SERVER__PORT: server.port: expected a whole number, got "x"'


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    """YAML's, the settings' and those between sections, in one go."""
    Path("g.yaml").write_text(
        "server:\n  port: x\n  port: 5\n  hots: a\nservices:\n  users: {endpoint: 'http://users'}\nlog: {level: !x y}\n"
    )
    told = refused(Path("g.yaml"), {"API_GATEWAY__CORS__ENABLED": "perhaps"}).splitlines()
    assert [line.split(": ")[:2] for line in told] == [
        ["g.yaml:2:9", "server.port"],
        ["g.yaml:3:3", "server.port"],
        ["g.yaml:4:3", "server.hots"],
        ["g.yaml:6:21", "services.users.endpoint"],
        ["g.yaml:7:14", "log.level"],
        ["environment variable API_GATEWAY__CORS__ENABLED", "cors.enabled"],
    ]


class TestFiles:
    """What can be wrong with the file itself."""

    def test_missing(self) -> None:
        assert refused(Path("no.yaml")) == "no.yaml: there is no such file; check the path that --config gives"
        assert refused(None, {PATH_VARIABLE: "no.yaml"}).endswith("check the path that GATEWAY_CONFIG_PATH gives")

    def test_directory(self) -> None:
        Path("config").mkdir()
        assert (
            refused(Path("config")) == "config: is a directory; name the file in it, such as config/gateway-config.yaml"
        )

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable(self) -> None:
        Path("g.yaml").write_text(SMALLEST)
        Path("g.yaml").chmod(0)
        assert refused(Path("g.yaml")).startswith("g.yaml: may not be read; ")

    def test_name_that_no_file_can_have(self) -> None:
        assert refused(Path("x" * 300)).startswith("x" * 300 + ": cannot be read: ")
        assert refused(Path("a\0b")).startswith("a\0b: cannot be read: ")

    def test_empty(self) -> None:
        Path("g.yaml").write_text("# nothing yet\n")
        told = refused(Path("g.yaml"))
        assert told.startswith("g.yaml:1:1: the file is empty; ")
        assert yaml.safe_load(told.partition("is:\n")[2])["services"]

    def test_empty_file_beside_backends_is_fine(self) -> None:
        assert list(load("", backends=("http://a:1",)).services) == ["a-1"]

    def test_too_large(self) -> None:
        Path("g.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        assert refused(Path("g.yaml")) == "g.yaml: is larger than 4 MiB; name a configuration file"

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device that never ends")
    def test_device_that_never_ends(self) -> None:
        assert "is larger than" in refused(Path("/dev/zero"))

    def test_byte_order_mark_is_no_character(self) -> None:
        assert load(b"\xef\xbb\xbf" + SMALLEST.encode()).services

    def test_windows_line_ends(self) -> None:
        assert load(SMALLEST.replace("\n", "\r\n")).services

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf16(self, encoding: str) -> None:
        Path("g.yaml").write_bytes(("\ufeff" + SMALLEST).encode(encoding))
        assert refused(Path("g.yaml")) == "g.yaml: is UTF-16; save it as UTF-8"

    def test_invalid_utf8_has_line_and_column(self) -> None:
        Path("g.yaml").write_bytes(SMALLEST.encode() + "# grüß ".encode() + b"\xff\n")
        assert refused(Path("g.yaml")) == "g.yaml:4:8: byte 0xff is not UTF-8; save it as UTF-8"

    def test_invalid_utf8_after_a_byte_order_mark(self) -> None:
        Path("g.yaml").write_bytes(b"\xef\xbb\xbfa: \xff\n")
        assert refused(Path("g.yaml")).startswith("g.yaml:1:4: byte 0xff")

    def test_pipe_is_read_like_a_file(self) -> None:
        reading, writing = os.pipe()
        os.write(writing, SMALLEST.encode())
        os.close(writing)
        assert load_settings(Path(f"/dev/fd/{reading}"), environ={}).settings.services
        os.close(reading)


WORDS = re.compile(r"[A-Za-z_]+|\d+|[^\w\s]|\s+")
TOKENS = sorted(
    {*WORDS.findall(EXAMPLE), "\t", "&a", "*a", "<<", "!x", "- ", "~", "-1", ".nan", "[", "}", "'", "\x00", "é"}
)


def problems_of(text: str) -> tuple[Problem, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "g.yaml"
        file.write_text(text, newline="")
        try:
            load_settings(file, environ={})
        except ConfigError as error:
            return error.problems
    return ()


@given(st.data())
def test_mutated_file_loads_or_is_refused_in_words(data: st.DataObject) -> None:
    """Tokens replaced, removed or doubled: nothing but ConfigError comes out, each problem at a place in the file."""
    words = WORDS.findall(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(words) - 1))
        words[index] = data.draw(st.sampled_from(["", words[index] * 2, *TOKENS]))
    text = "".join(words)
    for problem in problems_of(text):
        assert problem.message
        assert problem.line is not None and 1 <= problem.line <= text.count("\n") + 1
        assert problem.column is not None and problem.column >= 1


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["http://a:1", "/x", "GET"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from((*known_keys(()), "x", "")), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.data())
def test_any_value_in_any_key_loads_or_is_refused_at_its_place(data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(known_keys(())))
    keys = known_keys((section,)) or ("users",)
    file = {
        "services": {"users": {"endpoint": "http://a:1"}},
        section: {data.draw(st.sampled_from(keys)): data.draw(values)},
    }
    text = yaml.safe_dump(file, sort_keys=False)
    for problem in problems_of(text):
        assert problem.line is not None and 1 <= problem.line <= text.count("\n")
        assert problem.path == () or problem.path[0] in (section, "services")


@given(st.integers(0, 34), st.sampled_from(["port", "host", "workers"]))
def test_line_of_a_mistake_is_right_wherever_it_stands(before: int, key: str) -> None:
    text = "# words\n" * before + "server:\n" + "\n" * (before % 3) + f"  {key}: [1]\n" + SMALLEST
    (problem,) = problems_of(text)
    assert text.split("\n")[(problem.line or 0) - 1] == f"  {key}: [1]"
    assert problem.column == len(key) + 5

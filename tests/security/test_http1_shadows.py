"""Headers that look like those the gateway sets itself: no spelling of them reaches a backend.

From the bytes of a request, through the edge, to the metadata that `transcoding.headers` makes of it.
"""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request, Response
from api_gateway.transcoding.headers import ForwardedHeaders, request_metadata
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get, request

TRUSTED = {
    b"x-user-id": b"alice",
    b"x-user-roles": b"user",
    b"x-auth-claims": b"e30",
    b"x-request-id": b"the-gateways-own",
    b"traceparent": b"00-trusted",
}
"""What policies and tracing put into the metadata."""
ALWAYS = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", *TRUSTED}


ALLOW_LIST = ForwardedHeaders()
EVERYTHING = ForwardedHeaders(["*"])
"""`headers.forward: ["*"]`: whatever is not reserved."""


def forwarded(*lines: str, rules: ForwardedHeaders = ALLOW_LIST) -> list[tuple[bytes, bytes]] | int:
    """Return the metadata of a request with these header lines, or the status of the error that it ends in."""
    made: list[list[tuple[bytes, bytes]] | int] = []

    async def forward(request: Request) -> Response:
        exchange = Exchange(request)
        exchange.client_address = "192.0.2.7"
        exchange.metadata.extend(TRUSTED.items())
        try:
            made.append(request_metadata(exchange, rules))
        except GatewayError as error:
            made.append(error.http)
        return Response(200, [])

    rig = Rig(SmallApplication({"/": forward}))
    rig.receive(get("/", *lines))
    rig.lose()
    return made[0]


SPOOFED = [
    "x-user-id",
    "x-user-roles",
    "x-auth-claims",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
    "x-forwarded-user-agent",
    "traceparent",
]


def spellings(name: str) -> list[str]:
    """Return spellings of a name that some recipient takes for the same."""
    first_underscore = name.replace("-", "_", 1)
    return [name, name.title(), name.upper(), name.replace("-", "_"), name.upper().replace("-", "_"), first_underscore]


@pytest.mark.parametrize("name", SPOOFED)
@pytest.mark.parametrize("prefix", ["", "Grpc-Metadata-", "grpc-metadata-"], ids=["plain", "prefixed", "lower_prefix"])
@pytest.mark.parametrize("rules", [ALLOW_LIST, EVERYTHING], ids=["allow_list", "everything"])
def test_no_spelling_of_a_trusted_name_reaches_a_backend(name: str, prefix: str, rules: ForwardedHeaders) -> None:
    """H7, H9, semantics 28: each alone, and all at once."""
    for lines in ([each] for each in spellings(name)), [spellings(name)]:
        for some in lines:
            metadata = forwarded(*(f"{prefix}{each}: spoofed" for each in some), rules=rules)
            assert isinstance(metadata, list)
            assert not [entry for entry in metadata if b"spoofed" in entry[1]]
            assert {key for key, _ in metadata} == ALWAYS
            assert dict(metadata).items() >= TRUSTED.items()


@pytest.mark.parametrize(
    "name",
    [
        *("grpc-status", "grpc-timeout", "grpc-encoding", "grpc-message", "te", "content-type", "content-length"),
        *("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer", "host"),
    ],
)
def test_names_of_the_protocol_reach_no_backend(name: str) -> None:
    """H9, semantics 27."""
    for spelling in spellings(name):
        metadata = forwarded(f"Grpc-Metadata-{spelling}: spoofed", rules=EVERYTHING)
        assert isinstance(metadata, list)
        assert not [entry for entry in metadata if b"spoofed" in entry[1]]


@pytest.mark.parametrize("listed", ["authorization", "x-forwarded-for, host", "x-user-id", "grpc-metadata-a"])
def test_connection_cannot_strip_what_the_gateway_sets(listed: str) -> None:
    """H17: what is listed there is dropped by an allow-list anyway, or it is the gateway's own and stays."""
    metadata = forwarded(f"Connection: {listed}", "Authorization: Bearer token")
    assert isinstance(metadata, list)
    assert dict(metadata)[b"authorization"] == b"Bearer token"
    assert dict(metadata)[b"x-user-id"] == b"alice"
    assert dict(metadata)[b"x-forwarded-for"] == b"192.0.2.7"


def test_connection_ends_the_way_of_what_it_names() -> None:
    """H17, semantics 27: a field listed in `headers.forward` stays here when the client says it is hop-by-hop."""
    metadata = forwarded("Connection: close, X-Secret", "X-Secret: 1", "X-Tenant: acme", rules=EVERYTHING)
    assert isinstance(metadata, list)
    assert {key for key, _ in metadata} == ALWAYS | {b"x-tenant"}


@pytest.mark.parametrize(
    "line",
    [
        *("TE: trailers", "Keep-Alive: timeout=5", "Proxy-Connection: close", "Trailer: a", "HTTP2-Settings: AAMAAABk"),
        *(
            "Expect: 100-continue",
            "Grpc-Accept-Encoding: gzip",
            "Content-Language: de",
            "Proxy-Authorization: Basic eDp5",
        ),
        *("X-Http-Code: 201", "Grpc_Timeout: 1S", "X_Forwarded_For: 10.0.0.1"),
    ],
)
def test_everything_is_without_what_is_reserved(line: str) -> None:
    """H9, H16, semantics 27: even where `headers.forward` is `*`."""
    metadata = forwarded(line, rules=EVERYTHING)
    assert isinstance(metadata, list)
    assert {key for key, _ in metadata} == ALWAYS


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"], id="h2c"),
        pytest.param(["Forwarded: for=10.0.0.1"], id="forwarded"),
        pytest.param(["X-Real-IP: 10.0.0.1"], id="x_real_ip"),
        pytest.param(["Cookie: session=1"], id="cookie"),
        pytest.param(["Proxy-Authorization: Basic eDp5"], id="proxy_authorization"),
        pytest.param(["X-Anything: at all"], id="unknown"),
    ],
)
def test_only_what_is_listed_is_forwarded(lines: list[str]) -> None:
    """H9, H16: the backend sees exactly the allow-list."""
    metadata = forwarded(*lines)
    assert isinstance(metadata, list)
    assert {key for key, _ in metadata} == ALWAYS


def test_value_without_its_trailing_space_is_forwarded() -> None:
    """HTTP/2 forbids it (RFC 9113 section 8.2.1): it would fail the call, and count against the backend."""
    metadata = forwarded("User-Agent:   curl/8 \t ", "Grpc-Metadata-Tenant: \tacme ")
    assert isinstance(metadata, list)
    assert dict(metadata)[b"x-forwarded-user-agent"] == b"curl/8"
    assert dict(metadata)[b"tenant"] == b"acme"


@pytest.mark.parametrize("value", ["caf\xe9", "\x85", "\xa0"], ids=["latin1", "next_line", "no_break_space"])
def test_values_that_metadata_cannot_carry_are_left_out(value: str) -> None:
    """G10, H8."""
    metadata = forwarded(f"User-Agent: {value}", f"Grpc-Metadata-Tenant: {value}")
    assert isinstance(metadata, list)
    assert {key for key, _ in metadata} == ALWAYS


def test_trailers_reach_no_backend() -> None:
    """They come after every check."""
    made: list[bytes] = []

    async def forward(request: Request) -> Response:
        assert request.body is not None
        body = request.body.read(100)
        assert body == b"hi"
        made.extend(key for key, _ in request_metadata(Exchange(request), EVERYTHING))
        return Response(200, [])

    rig = Rig(SmallApplication({"/": forward}))
    trailers = b"".join(b"%b: spoofed\r\n" % name.encode() for name in ["Authorization", "Grpc-Metadata-A", *SPOOFED])
    rig.receive(request("POST", "/", "Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n")
    assert set(made) == {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}

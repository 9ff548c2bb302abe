"""Nothing fails open: every way in which those who decide about a request can fail, against a real gateway.

The table is that of docs/auth.md, "When somebody cannot be asked".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import NamedTuple

import grpc
import pytest

from tests.support.gateway import RunningGateway, eventually, serving_patiently, start_gateway
from tests.support.scripted_authority import Said, ScriptedAuthority, scripted_authority

ANY_CALLER = b"\x08\x01\x18\x00"
"""require_auth, not to be remembered."""
ADMINS = b"\x08\x01\x12\x05admin\x18\x00"
ALICE = b"\x08\x01\x12\x05alice\x1a\x04user"
USER, USERS = "/api/users/1", "/api/users"
LATE = Said(is_late=True)
HUGE = Said(message=b"\x08\x01\x2a" + b"\x80\x80\x80\x09" + b"x" * (18 * 1024 * 1024))
STATUSES = [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED)]
tokens = count()

HASTY_MS = 1_500
"""How long one gateway waits for answers that are late, and for others, which come by then on busy machines too."""
PATIENT_MS = 30_000


class Guarded(NamedTuple):
    """Two gateways whose only backend is asked about policies and about tokens, and what stops it."""

    gateway: RunningGateway
    hasty: RunningGateway
    authority: ScriptedAuthority
    stop: Callable[[], None]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with scripted_authority() as (authority, stop), ExitStack() as stack:

        def start(timeout_ms: int) -> RunningGateway:
            auth = {"service_endpoint": authority.endpoint, "timeout_ms": timeout_ms, "cache_ttl_seconds": 0}
            config = serving_patiently(authority.endpoint, service={"reconnect_grace_ms": 0}, auth=auth)
            return stack.enter_context(start_gateway(config))

        yield Guarded(start(PATIENT_MS), start(HASTY_MS), authority, stop)


def ask(
    guarded: Guarded, policy: Said, token: Said, *, target: str = USER, sends_token: bool = True
) -> tuple[int, str]:
    """Return the status of a request, and the reason that was counted for it."""
    authority = guarded.authority
    gateway = guarded.hasty if policy.is_late or token.is_late else guarded.gateway
    authority.policy, authority.token = policy, token
    before = failures(gateway)
    headers = {"authorization": f"Bearer token-{next(tokens)}"} if sends_token else {}
    answer = gateway.get(target, headers=headers)
    counted = {reason: number - before.get(reason, 0) for reason, number in failures(gateway).items()}
    reasons = [reason for reason, number in counted.items() if number]
    if answer.status == 503:
        assert answer.reason == "AUTH_UNAVAILABLE"
        assert answer.error["message"] == "authorization cannot be decided right now"
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status, reasons[0] if reasons else ""


def failures(gateway: RunningGateway) -> dict[str, float]:
    prefix = 'gateway_auth_failures_total{reason="'
    lines = [line for line in gateway.get("/metrics").body.decode().splitlines() if line.startswith(prefix)]
    return {line.removeprefix(prefix).partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.mark.parametrize("sends_token", [False, True], ids=["no token", "good token"])
@pytest.mark.parametrize(
    "policy",
    [
        *(pytest.param(Said(code=code), id=code.name) for code in STATUSES),
        pytest.param(LATE, id="late"),
        pytest.param(HUGE, id="longer than any message may be"),
        pytest.param(Said(message=b"\xff\xff\xff"), id="junk"),
        pytest.param(Said(message=b"\x08"), id="cut"),
        pytest.param(Said(message=b"\x0a\x01x"), id="require_auth is a text"),
        pytest.param(Said(message=b"\x08\x01\x10\x01"), id="a role is a number"),
        pytest.param(Said(message=b"\x08\x01\x12\x02\xff\xfe"), id="a role is no UTF-8"),
        pytest.param(Said(message=b"\x08\x01\x1a\x01x"), id="the lifetime is a text"),
    ],
)
def test_a_policy_that_cannot_be_had(guarded: Guarded, policy: Said, sends_token: bool) -> None:
    """Semantics 33: never known is 503, for callers with a good token and without."""
    found = ask(guarded, policy, Said(message=ALICE), sends_token=sends_token)
    assert found == (503, "policy_unavailable")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        *(
            pytest.param(Said(code=code), (503, "validator_unavailable"), id=code.name)
            for code in (*STATUSES, grpc.StatusCode.UNIMPLEMENTED)
            if code is not grpc.StatusCode.UNAUTHENTICATED
        ),
        pytest.param(Said(code=grpc.StatusCode.UNAUTHENTICATED), (401, "rejected"), id="UNAUTHENTICATED"),
        pytest.param(LATE, (503, "validator_unavailable"), id="late"),
        pytest.param(HUGE, (503, "validator_unavailable"), id="longer than any message may be"),
        pytest.param(Said(message=b"\xff\xff\xff"), (503, "validator_unavailable"), id="junk"),
        pytest.param(Said(message=b"\x0a\x01x"), (503, "validator_unavailable"), id="valid is a text"),
        pytest.param(Said(message=b"\x08\x01\x10\x01"), (503, "validator_unavailable"), id="the user is a number"),
        pytest.param(Said(message=b""), (401, "rejected"), id="empty"),
        pytest.param(Said(message=b"\x08\x00\x12\x05alice"), (401, "rejected"), id="not valid"),
        pytest.param(Said(message=b"\x08\x01\x12\x03a\r\n"), (401, "identity"), id="line break in the user"),
        pytest.param(Said(message=b"\x08\x01\x12\x01a\x1a\x03u,r"), (401, "identity"), id="comma in a role"),
        pytest.param(Said(message=ALICE), (200, ""), id="valid"),
    ],
)
def test_a_token_that_cannot_be_checked(guarded: Guarded, token: Said, expected: tuple[int, str]) -> None:
    """Semantics 35: the validator's failures are 503, what it says no to is 401."""
    assert ask(guarded, Said(message=ANY_CALLER), token) == expected


@pytest.mark.parametrize(
    ("policy", "sends_token", "expected"),
    [
        pytest.param(ANY_CALLER, False, (401, "missing_token"), id="no token"),
        pytest.param(ADMINS, True, (403, "missing_role"), id="no role"),
        pytest.param(b"\x12\x05admin\x18\x00", True, (403, "missing_role"), id="roles without require_auth"),
        pytest.param(b"\x08\x00\x18\x00", False, (200, ""), id="public"),
    ],
)
def test_a_policy_that_is_stated(guarded: Guarded, policy: bytes, sends_token: bool, expected: tuple[int, str]) -> None:
    """Semantics 33, 35; and an explicit 0 is not remembered, or these could not follow each other."""
    assert ask(guarded, Said(message=policy), Said(message=ALICE), sends_token=sends_token) == expected


def test_a_backend_without_policies_needs_a_token(guarded: Guarded) -> None:
    """Semantics 33: UNIMPLEMENTED is an answer, `auth.default_policy`, and remembered: so this has its own route."""
    nobody = Said(code=grpc.StatusCode.UNIMPLEMENTED)
    assert ask(guarded, nobody, Said(message=ALICE), target=USERS, sends_token=False) == (401, "missing_token")
    assert ask(guarded, nobody, Said(message=ALICE), target=USERS) == (200, "")


def test_everything_is_down(guarded: Guarded) -> None:
    """Semantics 33 and 42: 503, also without a connection; and none of all these failures has opened the breaker."""
    gateway = guarded.gateway
    assert gateway.get("/health").json()["services"]["echo"]["circuit_breaker"] == "closed"
    guarded.stop()
    eventually(lambda: gateway.log("connection failed"), "the gateway has noticed")
    assert ask(guarded, Said(), Said()) == (503, "policy_unavailable")
    assert ask(guarded, Said(), Said(), target=USERS) == (503, "validator_unavailable")
    assert gateway.get("/health").json()["services"]["echo"]["circuit_breaker"] == "closed"

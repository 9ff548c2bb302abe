"""The rules for tokens against what three other libraries sign: joserfc, jwcrypto and Node's jose.

Other files here put bad tokens together by hand, byte by byte. These are whole, rightly signed, and wrong in
what they say.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, RSAKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

from api_gateway.policy.refusal import Reason
from tests.support.token_checks import refused, verify
from tests.support.token_factory import NOW_S, claims, key_set

ROOT = Path(__file__).parents[2]
ISSUER = "https://issuer.example"
SETTINGS: Mapping[str, Any] = {
    "algorithms": ["ES256"],
    "issuer": ISSUER,
    "audience": "api",
    "typ": "at+jwt",
    "max_lifetime_seconds": 3_600,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One token. `reason` is None for a good one."""

    name: str
    reason: Reason | None
    payload: bytes
    header: Mapping[str, object] = field(default_factory=dict)
    alg: str = "ES256"


def case(
    name: str, reason: Reason | None, *, alg: str = "ES256", header: Mapping[str, object] | None = None, **more: object
) -> Case:
    payload = claims(**{"iss": ISSUER, "aud": ["other", "api"], "iat": int(NOW_S), **more})
    return Case(
        name=name,
        reason=reason,
        payload=json.dumps(payload).encode(),
        header={"typ": "at+jwt", **(header or {})},
        alg=alg,
    )


def raw(name: str, reason: Reason, payload: bytes) -> Case:
    return Case(name=name, reason=reason, payload=payload, header={"typ": "at+jwt"})


GOOD = json.dumps(claims(iss=ISSUER, aud="api"))[1:]
NOW = int(NOW_S)
CASES = (
    case("J1 J34 good, one of two audiences", None),
    case("J34 good, audience as a text", None, aud="api"),
    case("J25 good, typ in full and in capitals", None, header={"typ": "application/AT+JWT"}),
    case("J30 good, a moment after exp", None, exp=NOW - 29, iat=NOW - 100),
    case("J13 good, and jku is not looked at", None, header={"jku": "https://evil.example/keys"}),
    case("J1 another family than allowed", Reason.ALGORITHM, alg="RS256"),
    case(
        "J13 J15 jwk does not stand in for an unknown kid",
        Reason.UNKNOWN_KEY,
        header={"kid": "x", "jwk": {"kty": "EC"}},
    ),
    case("J14 kid is a path", Reason.UNKNOWN_KEY, header={"kid": "../../dev/null"}),
    case("J14 kid is SQL", Reason.UNKNOWN_KEY, header={"kid": "' OR 1=1"}),
    case("J18 crit that nobody knows", Reason.HEADER, header={"crit": ["x-rule"], "x-rule": True}),
    case("J24 a token inside", Reason.HEADER, header={"cty": "JWT"}),
    case("J25 J26 an ID token", Reason.HEADER, header={"typ": "JWT"}),
    case("J27 expired", Reason.EXPIRED, exp=NOW - 31, iat=NOW - 100),
    case("J27 without exp", Reason.CLAIMS, exp=None),
    case("J28 exp is a text", Reason.CLAIMS, exp=str(NOW + 600)),
    case("J28 exp is true", Reason.CLAIMS, exp=True),
    case("J28 exp is a list", Reason.CLAIMS, exp=[NOW + 600]),
    case("J29 not yet", Reason.NOT_YET_VALID, nbf=NOW + 31),
    case("J29 from the future", Reason.NOT_YET_VALID, iat=NOW + 31),
    case("J29 nbf is a text", Reason.CLAIMS, nbf="0"),
    case("J31 lives too long", Reason.LIFETIME, exp=NOW + 3_700),
    case("J32 part of the issuer", Reason.ISSUER, iss=ISSUER[:-1]),
    case("J32 more than the issuer", Reason.ISSUER, iss=f"{ISSUER}.evil.example"),
    case("J32 no issuer", Reason.ISSUER, iss=None),
    case("J32 a list of issuers", Reason.ISSUER, iss=[ISSUER]),
    case("J34 another audience", Reason.AUDIENCE, aud=["other", "api2"]),
    case("J34 no audience", Reason.AUDIENCE, aud=None),
    case("J34 a number among them", Reason.AUDIENCE, aud=["api", 7]),
    case("J35 sub is a number", Reason.CLAIMS, sub=7),
    case("J35 jti is a number", Reason.CLAIMS, jti=7),
    case("J36 line break in sub", Reason.IDENTITY, sub="alice\r\nx-user-roles: admin"),
    case("J36 sub is not ASCII", Reason.IDENTITY, sub="alicé"),
    case("J36 comma in a role", Reason.IDENTITY, roles=["user,admin"]),
    case("J39 too long", Reason.TOO_LARGE, padding="x" * 8_192),
    raw("J22 exp twice", Reason.MALFORMED, f'{{"exp":1,{GOOD}'.encode()),
    raw("J22 a list", Reason.MALFORMED, b"[1]"),
    raw("J22 no JSON", Reason.MALFORMED, b"alice"),
    raw("J22 NaN", Reason.MALFORMED, f'{{"x":NaN,{GOOD}'.encode()),
    raw("J22 no UTF-8", Reason.MALFORMED, b'{"sub":"\xff"}'),
    raw("J40 nested ten thousand deep", Reason.MALFORMED, b'{"a":' + b"[" * 2_500),
)

Signed = tuple[Sequence[str], bytes]
"""Tokens in the order of the cases, and the set of the keys that they were signed with."""


@cache
def by_joserfc() -> Signed:
    keys: dict[str, ECKey | RSAKey] = {"ES256": ECKey.generate_key("P-256"), "RS256": RSAKey.generate_key(2_048)}
    registry = joserfc_jws.JWSRegistry(algorithms=list(keys), strict_check_header=False)
    registry.check_header = lambda header: None  # type: ignore[method-assign]  # it would refuse to write `crit`
    tokens = [
        joserfc_jws.serialize_compact(
            {"alg": each.alg, "kid": each.alg, **each.header}, each.payload, keys[each.alg], registry=registry
        )
        for each in CASES
    ]
    return tokens, key_set(*({**key.as_dict(private=False), "kid": name} for name, key in keys.items()))


@cache
def by_jwcrypto() -> Signed:
    keys = {
        "ES256": jwcrypto_jwk.JWK.generate(kty="EC", crv="P-256"),
        "RS256": jwcrypto_jwk.JWK.generate(kty="RSA", size=2_048),
    }
    tokens = []
    for each in CASES:
        token = jwcrypto_jws.JWS(each.payload, header_registry=_everything_is_known(each))
        header = {"alg": each.alg, "kid": each.alg, **each.header}
        token.add_signature(keys[each.alg], protected=json.dumps(header))
        tokens.append(token.serialize(compact=True))
    return tokens, key_set(*({**key.export_public(as_dict=True), "kid": name} for name, key in keys.items()))


def _everything_is_known(each: Case) -> dict[str, jwcrypto_jws.JWSEHeaderParameter]:
    parameter = jwcrypto_jws.JWSEHeaderParameter("of the test", mustprotect=False, supported=True, check_fn=None)
    return {name: parameter for name in each.header if name.startswith("x-")}


@cache
def by_node() -> Signed:
    subprocess.run([ROOT / "scripts" / "install-node-signer"], check=True, timeout=300)
    wanted = [
        {"alg": each.alg, "header": each.header, "payload": base64.b64encode(each.payload).decode()} for each in CASES
    ]
    run = subprocess.run(
        ["node", ROOT / "tests" / "support" / "node_tokens" / "sign_many.js"],
        input=json.dumps(wanted),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    made = json.loads(run.stdout)
    return made["tokens"], key_set(*made["keys"])


@pytest.mark.parametrize("sign", [by_joserfc, by_jwcrypto, by_node], ids=["joserfc", "jwcrypto", "jose"])
@pytest.mark.parametrize("number", range(len(CASES)), ids=[each.name for each in CASES])
def test_rule(sign: Callable[[], Signed], number: int) -> None:
    """J1 to J40, as the id says."""
    tokens, keys = sign()
    token, expected = tokens[number].encode(), CASES[number].reason
    if expected is None:
        assert verify(token, keys=keys, **SETTINGS).identity.user_id == "alice"
    else:
        assert refused(token, keys=keys, **SETTINGS) is expected


@pytest.mark.parametrize("sign", [by_joserfc, by_jwcrypto, by_node], ids=["joserfc", "jwcrypto", "jose"])
def test_a_changed_byte_is_noticed(sign: Callable[[], Signed]) -> None:
    """J7, J41: one token's signature under another's claims, and a signature that is longer or shorter."""
    tokens, keys = sign()
    good, other = tokens[0], tokens[1]
    stem, _, signature = good.rpartition(".")
    for forged in (f"{other.rpartition('.')[0]}.{signature}", f"{stem}.{signature[4:]}", f"{good}AAAA"):
        assert refused(forged.encode(), keys=keys, **SETTINGS) is Reason.SIGNATURE

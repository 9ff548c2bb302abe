"""Tokens and keys made by another language's library: Node's jose."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.token_checks import refused, verify
from tests.support.token_factory import ALL_ALGORITHMS, claims, key_set

ROOT = Path(__file__).parents[2]
ALGORITHMS = sorted(name for name in ALL_ALGORITHMS if not name.startswith("HS"))


def test_tokens_of_node() -> None:
    """J1, J25: every algorithm, with the key set that jose exports; and no token passes with another's key."""
    subprocess.run([ROOT / "scripts" / "install-node-signer"], check=True, timeout=300)
    run = subprocess.run(
        ["node", ROOT / "tests" / "support" / "node_tokens" / "sign.js", *ALGORITHMS],
        input=json.dumps(claims(iss="https://issuer", aud=["api"])),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    signed = json.loads(run.stdout)
    keys = key_set(*(made["jwk"] for made in signed.values()))
    for algorithm in ALGORITHMS:
        token = signed[algorithm]["token"].encode()
        verified = verify(token, keys=keys, issuer="https://issuer", audience="api", typ="at+jwt")
        assert verified.identity.user_id == "alice"
        others = key_set(*({**made["jwk"], "kid": f"not-{name}"} for name, made in signed.items()))
        assert refused(token, keys=others).value == "unknown_key"

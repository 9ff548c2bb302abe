"""An exchange as it begins: what is not known yet reads as that."""

from __future__ import annotations

import pytest

from tests.support.auth_upstream import exchange


def test_a_new_exchange_has_decided_nothing() -> None:
    made = exchange()
    assert (made.status, made.grpc_code, made.route, made.error_reason, made.called_s) == (0, None, "", "", 0.0)
    assert (made.metadata, made.response_headers, made.roles) == ([], [], ())


def test_until_a_policy_decides_the_client_is_the_other_end() -> None:
    made = exchange()
    assert made.client_address == made.request.peer == "127.0.0.1"


def test_exchanges_share_no_lists() -> None:
    one, other = exchange(), exchange()
    one.metadata.append((b"a", b"b"))
    one.response_headers.append((b"a", b"b"))
    assert (other.metadata, other.response_headers) == ([], [])


def test_parts_cannot_add_what_nobody_knows_of() -> None:
    with pytest.raises(AttributeError):
        exchange().retries = 1  # type: ignore[attr-defined]  # the test is about this mistake

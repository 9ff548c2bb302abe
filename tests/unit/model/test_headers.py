"""Header fields that answers have in common."""

from __future__ import annotations

from api_gateway.model.headers import HeaderBlock


def test_a_block_keeps_its_fields_in_order_and_is_not_encoded_yet() -> None:
    block = HeaderBlock((b"retry-after", b"7"), (b"content-type", b"application/json"))
    assert block.fields == ((b"retry-after", b"7"), (b"content-type", b"application/json"))
    assert block.encoded == b""

"""The cap on connections of one address."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from api_gateway.edge.address_share import AddressShare
from api_gateway.policy.client_address import ClientAddress


def share(limit: int = 2) -> AddressShare:
    return AddressShare(ClientAddress([ip_network("10.0.0.0/8")]).identify, limit)


@pytest.mark.parametrize(
    ("peers", "taken"),
    [
        pytest.param(["192.0.2.1"] * 3, [True, True, False], id="one address"),
        pytest.param(["192.0.2.1", "192.0.2.2"] * 2, [True] * 4, id="two addresses"),
        pytest.param(["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], [True, True, False], id="IPv4-mapped"),
        pytest.param([f"2001:db8::{each}" for each in range(3)], [True, True, False], id="one /64"),
        pytest.param([f"2001:db8:{each}::1" for each in range(3)], [True] * 3, id="three networks"),
        pytest.param(["10.1.2.3"] * 5, [True] * 5, id="trusted proxy"),
    ],
)
def test_one_address_gets_its_share(peers: list[str], taken: list[bool]) -> None:
    """F10, R5: keyed as limits are; proxies speak for many."""
    shares = share()
    assert [shares.take(peer) for peer in peers] == taken


def test_what_is_given_back_can_be_taken_again() -> None:
    shares = share(1)
    for peer in ("192.0.2.1", "10.0.0.1") * 3:
        assert shares.take(peer)
        shares.give_back(peer)
    assert shares.take("192.0.2.1")
    assert not shares.take("192.0.2.1")

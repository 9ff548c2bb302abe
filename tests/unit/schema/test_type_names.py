"""Type names as Node.js backends send them: without their package, in files without imports.

@grpc/reflection 1.0 with protobufjs 7 does this; tests/e2e/test_backends.py asks the real one.
"""

from __future__ import annotations

import pytest

from api_gateway.schema import SchemaError
from api_gateway.schema.type_names import join_name

from .scenes import api_file, build_shop, common_file, mangled_google_file, shop_file


def test_relative_names_and_missing_imports_are_resolved_in_any_order() -> None:
    files = (shop_file(), common_file(), mangled_google_file(), api_file())
    for ordered in (files, files[::-1]):
        place, clear = build_shop(*ordered).services["acme.shop.Orders"].methods
        assert (place.input.type_name, place.output.type_name) == ("acme.shop.Order", "acme.shop.Basket")
        assert clear.output.type_name == "google.protobuf.Empty"
        order = {each.name: each.value for each in place.input.fields}
        assert order["line"].message.type_name == "acme.shop.Order.Line"  # type: ignore[union-attr]  # all are messages
        assert order["address"].message.type_name == "acme.common.Address"  # type: ignore[union-attr]  # all are messages


def test_the_innermost_scope_wins_and_the_outer_one_is_found_outside() -> None:
    schema = build_shop(shop_file(), common_file(), mangled_google_file(), api_file())
    basket = schema.registry.message("acme.shop.Basket")
    assert basket is not None
    assert basket.fields[0].value.message.type_name == "acme.shop.Line"  # type: ignore[union-attr]  # it is a message


def test_a_name_that_is_nowhere_is_refused() -> None:
    with pytest.raises(SchemaError):
        build_shop(shop_file(), mangled_google_file(), api_file())


@pytest.mark.parametrize(("scope", "name", "expected"), [("", "M", "M"), ("p", "M", "p.M"), ("p.M", "N", "p.M.N")])
def test_names_are_joined(scope: str, name: str, expected: str) -> None:
    assert join_name(scope, name) == expected

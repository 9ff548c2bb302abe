"""Path templates by what they match."""

from __future__ import annotations

import pytest

from api_gateway.policy.template_shape import template_shape


@pytest.mark.parametrize(
    ("template", "shape"),
    [
        pytest.param("/api/users", "/api/users", id="literal"),
        pytest.param("/api/users/:id", "/api/users/*", id="colon"),
        pytest.param("/api/users/{user.id}", "/api/users/*", id="braces"),
        pytest.param("/api/users/{id=*}/posts/:post_id", "/api/users/*/posts/*", id="several"),
        pytest.param("/v1/{name=shelves/*/books/*}", "/v1/shelves/*/books/*", id="over_several_segments"),
        pytest.param("/v1/{name=**}", "/v1/**", id="wide"),
        pytest.param("/api/users:watch", "/api/users:watch", id="verb"),
        pytest.param("/api/users/{id}:watch", "/api/users/*:watch", id="variable_and_verb"),
        pytest.param("/a{b", "/a{b", id="no_template"),
    ],
)
def test_shape(template: str, shape: str) -> None:
    """semantics 33, 36: one route, one shape, and no other route with it."""
    assert template_shape(template) == shape

"""The route table: which target, which variables, which refusal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError, Source
from api_gateway.routing import table as table_module
from api_gateway.routing.path import normalise_path
from api_gateway.routing.table import RouteTable
from api_gateway.routing.template import parse_template
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.routing.reference import METHODS, Shape, matches, paths, shapes


def build(*routes: str) -> RouteTable[str]:
    """Build a table from texts like `GET /users/:id`; the text is the target."""
    entries = [(route.split(" ", 1)[0], parse_template(route.split(" ", 1)[1]), route) for route in routes]
    return RouteTable.build(entries)


def refused(table: RouteTable[str], method: str, path: str) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        table.match(method, path)
    return caught.value


@pytest.mark.parametrize(
    ("routes", "request_line", "winner"),
    [
        pytest.param(["/c/f/d/e", "/c/*/d/e", "/c/*/d/**"], "/c/f/d/e", "/c/f/d/e", id="literal before one"),
        pytest.param(["/c/f/d/e", "/c/*/d/e", "/c/*/d/**"], "/c/x/d/e", "/c/*/d/e", id="one, then literal"),
        pytest.param(["/c/f/d/e", "/c/*/d/e", "/c/*/d/**"], "/c/f/d/x", "/c/*/d/**", id="back to one and many"),
        pytest.param(["/a/*", "/a/**"], "/a/x", "/a/*", id="one before many"),
        pytest.param(["/a/*", "/a/**"], "/a/x/y", "/a/**", id="many where one does not reach"),
        pytest.param(["/a", "/a/**"], "/a", "/a", id="the end before many"),
        pytest.param(["/a/**"], "/a", "/a/**", id="many takes nothing"),
        pytest.param(["/**"], "/", "/**", id="many takes the root"),
        pytest.param(["/", "/**"], "/", "/", id="root before many"),
        pytest.param(["/*/b/c", "/a/*/d"], "/a/b/c", "/*/b/c", id="back over two segments"),
        pytest.param(["/a/**/c", "/a/**"], "/a/b/b/c", "/a/**/c", id="many with a literal behind"),
        pytest.param(["/a/**/c", "/a/**"], "/a/c", "/a/**/c", id="many takes nothing before a literal"),
        pytest.param(["/a/**/c", "/a/**"], "/a/b/d", "/a/**", id="literal behind many does not fit"),
        pytest.param(["/a/**/*/c", "/a/**/c"], "/a/b/c", "/a/**/*/c", id="more segments behind many"),
        pytest.param(["/v1/*", "/v1/*:x"], "/v1/a:x", "/v1/*:x", id="verb before none"),
        pytest.param(["/v1/*", "/v1/*:x"], "/v1/a:z", "/v1/*", id="unregistered verb is part of the value"),
        pytest.param(["/v1/*", "/v1/**:x"], "/v1/a:x", "/v1/**:x", id="verb before none whatever the segments"),
        pytest.param(["/v1/*:b", "/v1/*:a:b"], "/v1/x:a:b", "/v1/*:a:b", id="longer verb"),
        pytest.param(["/v1/*:b", "/v1/*:a:b"], "/v1/x:c:b", "/v1/*:b", id="shorter verb behind a colon"),
        pytest.param(["/v1/x:b", "/v1/*:b"], "/v1/x:b", "/v1/x:b", id="static verb"),
        pytest.param(["/v1/**:b"], "/v1:b", "/v1/**:b", id="many takes nothing before a verb"),
        pytest.param(["/v1/*:x", "/v1/*"], "/v1/a%3Ax", "/v1/*", id="escaped colon is no verb"),
        pytest.param(["/a b/x"], "/a%20b/x", "/a b/x", id="escaped literal"),
        pytest.param(["/a@b"], "/a%40b", "/a@b", id="literal that the client escaped"),
        pytest.param(["/caf%C3%A9"], "/caf%c3%a9", "/caf%C3%A9", id="unicode literal in lower case escapes"),
        pytest.param(["/a:b/c"], "/a%3Ab/c", "/a:b/c", id="colon in an inner literal"),
    ],
)
def test_semantics_4_most_specific_template_wins_whatever_the_order(
    routes: list[str], request_line: str, winner: str
) -> None:
    for order in (routes, routes[::-1]):
        table = build(*(f"GET {route}" for route in order))
        assert table.match("GET", request_line)[0] == f"GET {winner}"


@pytest.mark.parametrize(
    ("route", "path", "values"),
    [
        pytest.param("/api/users/:id", "/api/users/123", ("123",), id="plain"),
        pytest.param("/{a}/x/{b}", "/1/x/2", ("1", "2"), id="two in order"),
        pytest.param("/{a}/{b}/{c.d}", "/1/2/3", ("1", "2", "3"), id="three"),
        pytest.param("/v1/{name=shelves/*}", "/v1/shelves/7", ("shelves/7",), id="several segments"),
        pytest.param("/v1/{p=a/*}/{q=b/*}", "/v1/a/1/b/2", ("a/1", "b/2"), id="two of several segments"),
        pytest.param("/f/{p=**}", "/f/a/b/c", ("a/b/c",), id="many"),
        pytest.param("/f/{p=**}", "/f", ("",), id="many takes nothing"),
        pytest.param("/f/{p=**}", "/f/a/", ("a/",), id="many takes the trailing slash"),
        pytest.param("/{p=f/**}", "/f", ("f",), id="many takes nothing behind a literal"),
        pytest.param("/a/{x=**}/c", "/a/1/2/c", ("1/2",), id="many before a literal"),
        pytest.param("/a/{x=**}/{y}/z", "/a/1/2/3/z", ("1/2", "3"), id="one behind many"),
        pytest.param("/{x}/**/{y=c/*}", "/1/2/3/c/4", ("1", "c/4"), id="both sides of many"),
        pytest.param("/v1/{id}:cancel", "/v1/7:cancel", ("7",), id="before a verb"),
        pytest.param("/v1/{id}:cancel", "/v1/a:b:cancel", ("a:b",), id="colon before a verb"),
        pytest.param("/v1/{id}", "/v1/7:other", ("7:other",), id="semantics 3.4 unregistered verb"),
        pytest.param("/v1/{id}", "/v1/a%2Fb", ("a/b",), id="escaped slash in one segment"),
        pytest.param("/v1/{id=*}", "/v1/%C3%A9%20+%2B", ("é ++",), id="plus stays plus"),
        pytest.param("/v1/{id=**}", "/v1/%2f%23/%20%2523", ("%2f%23/ %23",), id="reserved escapes stay"),
        pytest.param("/v1/{id=**}:x", "/v1/a%3A/b%2F:x", ("a%3A/b%2F",), id="reserved escapes before a verb"),
        pytest.param("/v1/{id}:x", "/v1/a%3A:x", ("a:",), id="escaped colon before a verb"),
        pytest.param("/{n=lit}/{m}", "/lit/%41", ("lit", "A"), id="variable over a literal"),
    ],
)
def test_semantics_3_variables(route: str, path: str, values: tuple[str, ...]) -> None:
    assert build(f"GET {route}").match("GET", path) == (f"GET {route}", values)


@pytest.mark.parametrize(
    ("routes", "path"),
    [
        pytest.param(["/api/users/:id"], "/api/users/", id="empty segment is no value"),
        pytest.param(["/api/users"], "/api/users/", id="trailing slash is another path"),
        pytest.param(["/api/users"], "/API/users", id="case counts"),
        pytest.param(["/api/users"], "/api", id="prefix"),
        pytest.param(["/api"], "/api/users", id="longer path"),
        pytest.param(["/a/*"], "/a", id="one needs a segment"),
        pytest.param(["/a/**/c"], "/a", id="literal behind many is needed"),
        pytest.param(["/a/**/c"], "/a/c/", id="literal behind many and a trailing slash"),
        pytest.param(["/v1/x:a"], "/v1/x", id="verb is needed"),
        pytest.param(["/v1/x:a"], "/v1/x:b", id="other verb behind a literal"),
        pytest.param(["/v1/x:a"], "/v1/x%3Aa", id="escaped verb"),
        pytest.param(["/v1/{id}:a"], "/v1/:a", id="verb without a value"),
        pytest.param(["/a"], "/", id="root"),
        pytest.param([], "/a", id="empty table"),
    ],
)
def test_semantics_8_unknown_path_is_404(routes: list[str], path: str) -> None:
    table = build(*(f"GET {route}" for route in routes))
    error = refused(table, "GET", path)
    assert (error.http, error.code, error.reason, error.source) == (404, 5, "ROUTE_NOT_FOUND", Source.CLIENT)
    assert table.allowed_methods(path) == ()


@pytest.mark.parametrize(
    ("routes", "method", "path", "allow"),
    [
        pytest.param(["GET /a"], "POST", "/a", "GET, HEAD, OPTIONS", id="static"),
        pytest.param(["PUT /a/:id", "DELETE /a/{x}"], "GET", "/a/1", "DELETE, OPTIONS, PUT", id="variable"),
        pytest.param(["PUT /a/b", "GET /a/*"], "PATCH", "/a/b", "GET, HEAD, OPTIONS, PUT", id="of all that match"),
        pytest.param(["POST /a"], "HEAD", "/a", "OPTIONS, POST", id="head without get"),
        pytest.param(["POST /a:x", "GET /*"], "PUT", "/a:x", "GET, HEAD, OPTIONS, POST", id="with and without verb"),
        pytest.param(["GET /a"], "get", "/a", "GET, HEAD, OPTIONS", id="methods are case-sensitive"),
        pytest.param(["GET /a"], "OPTIONS", "/a", "GET, HEAD, OPTIONS", id="options is the edge's"),
    ],
)
def test_semantics_8_known_path_with_other_method_is_405(routes: list[str], method: str, path: str, allow: str) -> None:
    error = refused(build(*routes), method, path)
    assert (error.http, error.code, error.reason, error.source) == (405, 12, "METHOD_NOT_ALLOWED", Source.CLIENT)
    assert error.headers == ((b"allow", allow.encode()),)


@pytest.mark.parametrize(
    ("routes", "method", "path", "target"),
    [
        pytest.param(["GET /a"], "HEAD", "/a", "GET /a", id="static"),
        pytest.param(["GET /a/:id"], "HEAD", "/a/1", "GET /a/:id", id="variable"),
        pytest.param(["GET /a", "HEAD /a"], "HEAD", "/a", "HEAD /a", id="bound to head behind get"),
        pytest.param(["HEAD /a/*", "GET /a/*"], "HEAD", "/a/1", "HEAD /a/*", id="bound to head before get"),
        pytest.param(["GET /a", "* /a"], "HEAD", "/a", "GET /a", id="get before any"),
        pytest.param(["* /a"], "HEAD", "/a", "* /a", id="any"),
        pytest.param(["* /a"], "BREW", "/a", "* /a", id="any takes every method"),
        pytest.param(["* /a/*", "POST /a/*"], "POST", "/a/1", "POST /a/*", id="method before any"),
        pytest.param(["* /a/b", "GET /a/*"], "GET", "/a/b", "* /a/b", id="specific any before general method"),
        pytest.param(
            ["POST /u/me", "GET /u/:id"], "GET", "/u/me", "GET /u/:id", id="next template that has the method"
        ),
        pytest.param(["POST /u/:a:x", "GET /u/:id"], "GET", "/u/1:x", "GET /u/:id", id="value that looks like a verb"),
    ],
)
def test_semantics_8_methods(routes: list[str], method: str, path: str, target: str) -> None:
    assert build(*routes).match(method, path)[0] == target


def test_first_of_exact_duplicates_counts() -> None:
    table = RouteTable.build(
        [("GET", parse_template("/a/:id"), 1), ("GET", parse_template("/a/{x}"), 2), ("GET", parse_template("/b"), 3)]
    )
    assert table.match("GET", "/a/1")[0] == 1
    assert len(table) == 2
    assert [(method, template.text, target) for method, template, target in table] == [
        ("GET", "/a/:id", 1),
        ("GET", "/b", 3),
    ]


def test_targets_may_be_falsy() -> None:
    table: RouteTable[int | None] = RouteTable.build(
        [("GET", parse_template("/a"), None), ("GET", parse_template("/b/*"), 0)]
    )
    assert table.match("GET", "/a") == (None, ())
    assert table.match("GET", "/b/1") == (0, ())


def test_allowed_methods_shows_any() -> None:
    assert build("* /a", "GET /*").allowed_methods("/a") == ("*", "GET", "HEAD", "OPTIONS")


@pytest.mark.parametrize("path", ["/v1/a%2F..%2Fb", "/v1/%ff", "/v1/%00", "/v1/%4"])
def test_h10_path_that_was_not_normalised_is_400(path: str) -> None:
    assert refused(build("GET /v1/:id", "GET /v1/:id:x"), "GET", path).http == 400


@pytest.mark.parametrize(
    "raw",
    ["/public/../admin/x", "/public/%2e%2e/admin/x", "/public/..%2fadmin%2fx", "/public/..;/admin/x", "//admin/x",
     "/public\\..\\admin/x", "/public/%252e%252e/admin/x", "/public/%c0%ae%c0%ae/admin/x", "/%61dmin/x", "/Admin/x",
     "/admin./x", "/admin%2fx", "/admin%00/x", "/./admin/x"],
)  # fmt: skip
def test_h10_nothing_but_admin_reaches_admin(raw: str) -> None:
    table = build("GET /public/**", "GET /admin/**")
    try:
        path = normalise_path(raw)
        target, _ = table.match("GET", path)
    except GatewayError as error:
        assert error.http in (400, 404)
        return
    assert (target == "GET /admin/**") == path.startswith("/admin/")
    assert ".." not in path


routed = st.lists(st.tuples(st.sampled_from(METHODS), shapes()), max_size=12)


@given(routed, paths(), st.sampled_from(("GET", "POST", "HEAD", "PUT")))
@example([("GET", Shape("/x", ("x",), "", (), ()))], "/x", "HEAD")
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_semantics_4_table_agrees_with_the_specification(
    routes: list[tuple[str, Shape]], path: str, method: str
) -> None:
    table = RouteTable.build((verb, parse_template(shape.text), number) for number, (verb, shape) in enumerate(routes))
    path = normalise_path(path)
    found = matches([shape for _, shape in routes], path)
    best = min(
        ((match.rank, _method_rank(routes[match.number][0], method), match.number, match.values) for match in found
         if _method_rank(routes[match.number][0], method) is not None),
        default=None,
    )  # fmt: skip
    if best is not None:
        assert table.match(method, path) == (best[2], best[3])
        return
    with pytest.raises(GatewayError) as caught:
        table.match(method, path)
    assert caught.value.http == (405 if found else 404)
    if found:
        verbs = {routes[match.number][0] for match in found}
        allowed = verbs | {"OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
        assert caught.value.headers == ((b"allow", ", ".join(sorted(allowed)).encode()),)


def _method_rank(bound: str, asked: str) -> int | None:
    """Tell how well a route's method serves a request's: itself, GET for HEAD, any; None when it does not."""
    if bound == asked:
        return 0
    if (bound, asked) == ("GET", "HEAD"):
        return 1
    return 2 if bound == "*" else None


def steps(action: Callable[[], object]) -> int:
    """Count the lines of the routing package that `action` executes: a measure of work that no busy machine changes."""
    folder = table_module.__file__.rpartition("/")[0]
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(folder):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except GatewayError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("path", ["/api/r1", "/api/r1/42", "/api/r1/42:undo", "/api/r1/4%2F2", "/api/none/1/2"])
def test_work_of_a_match_does_not_grow_with_the_table(path: str) -> None:
    def table(count: int) -> RouteTable[str]:
        return build(
            *(f"{route.format(number)}" for number in range(count) for route in
              ("GET /api/r{}", "GET /api/r{}/:id", "PUT /api/r{}/:id", "POST /api/r{}/:id:undo", "GET /files/r{}/**"))
        )  # fmt: skip

    small, large = table(2), table(1_000)
    assert steps(lambda: large.match("GET", path)) == steps(lambda: small.match("GET", path))


def _large_table(count: int) -> RouteTable[str]:
    """Build a table of templates as a large company's services have them."""
    return build(
        *(route.format(f"/v1/service{number % 50}/things{number}") for number in range(count // 5) for route in
          ("GET {}", "GET {}/{{id}}", "POST {}/{{id}}:cancel", "GET {}/{{name=parts/*}}/items/{{item.id}}",
           "DELETE {}/files/{{path=**}}"))
    )  # fmt: skip


def test_15_000_templates_are_built_in_two_seconds_and_matched_like_15() -> None:
    """semantics 4, at size. In CPU seconds; matches are compared by steps, which no busy machine changes."""
    tables: list[RouteTable[str]] = []
    taken_s = cheapest_cpu_s(lambda: tables.append(_large_table(15_000)), enough_s=2.0)
    print(f"15,000 templates: {taken_s:.2f} s of CPU")
    assert taken_s < 2.0
    large, small = tables[0], _large_table(15)
    assert len(large) == 15_000
    for method, path in (
        ("GET", ""), ("GET", "/42"), ("POST", "/42:cancel"), ("GET", "/parts/1/items/2"), ("DELETE", "/files/a/b"),
        ("GET", "/no/such/thing"),
    ):  # fmt: skip
        last = "/v1/service49/things2999" + path
        first = "/v1/service2/things2" + path
        assert steps(lambda: large.match(method, last)) == steps(lambda: small.match(method, first))  # noqa: B023 # called at once


@pytest.mark.parametrize("depth", [6, 9])
def test_hostile_table_costs_no_more_than_its_size(depth: int) -> None:
    """Every mixture of `a` and `*` at every depth, each also behind a `**`: the worst a walk with choices can meet."""
    mixtures = [""]
    routes: list[str] = []
    for _ in range(depth):
        mixtures = [f"{mixture}/{segment}" for mixture in mixtures for segment in ("a", "*")]
        routes += [f"GET {mixture}/z" for mixture in mixtures] + [f"GET /**{mixture}/z" for mixture in mixtures]
        routes += [f"GET {mixture}/**/z" for mixture in mixtures]
    table = build(*routes)
    for path in ("/" + "a/" * depth + "b", "/" + "a/" * 2_000 + "b", "/" + "a/" * 2_000):
        size = sum(len(template.segments) for _, template, _ in table)
        assert steps(lambda path=path: table.match("GET", path)) < 40 * size + 10_000  # type: ignore[misc]  # mypy cannot infer a lambda's default


def test_hostile_path_costs_no_more_than_its_length() -> None:
    table = build("GET /**/a/b", "GET /{x=**}:v", "GET /{x=**}:v:w", "GET /*/a/*/b")
    for path in ("/" + "a/" * 4_000, "/" + ":" * 8_000, "/" + ":v" * 4_000, "/" + "a/" * 2_000 + ":v" * 1_000):
        assert steps(lambda path=path: table.match("POST", path)) < 3 * len(path)  # type: ignore[misc]  # as above

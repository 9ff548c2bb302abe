"""The grammar of path templates."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.routing.template import MAX_TEMPLATE_CHARACTERS, Segment, Template, Wildcard, parse_template
from tests.unit.routing.reference import Shape, shapes

ONE, MANY = Wildcard.ONE, Wildcard.MANY


@pytest.mark.parametrize(
    ("text", "segments", "verb", "variables", "spans"),
    [
        pytest.param("/", (), "", (), (), id="root"),
        pytest.param("/v1", ("v1",), "", (), (), id="literal"),
        pytest.param("/v1/*", ("v1", ONE), "", (), (), id="one"),
        pytest.param("/v1/**", ("v1", MANY), "", (), (), id="many"),
        pytest.param("/**", (MANY,), "", (), (), id="many alone"),
        pytest.param("/{id}", (ONE,), "", ("id",), ((0, 1),), id="variable"),
        pytest.param("/{id=*}", (ONE,), "", ("id",), ((0, 1),), id="variable spelled out"),
        pytest.param("/v1/{name=**}", ("v1", MANY), "", ("name",), ((1, 2),), id="many in a variable"),
        pytest.param("/v1/{name=a/*/b/*}", ("v1", "a", ONE, "b", ONE), "", ("name",), ((1, 5),), id="several segments"),
        pytest.param(
            "/v1/{p=a/*}/{q=b/**}", ("v1", "a", ONE, "b", MANY), "", ("p", "q"), ((1, 3), (3, 5)), id="two variables"
        ),
        pytest.param("/{a.b_c.D0}", (ONE,), "", ("a.b_c.D0",), ((0, 1),), id="nested field path"),
        pytest.param("/a/{x=**}/c", ("a", MANY, "c"), "", ("x",), ((1, 2),), id="many before a literal"),
        pytest.param("/**/c/{id}", (MANY, "c", ONE), "", ("id",), ((2, 3),), id="many first"),
        pytest.param("/{n=lit}", ("lit",), "", ("n",), ((0, 1),), id="variable over a literal"),
        pytest.param("/v1/x:cancel", ("v1", "x"), "cancel", (), (), id="verb behind a literal"),
        pytest.param("/v1/{id}:cancel", ("v1", ONE), "cancel", ("id",), ((1, 2),), id="verb behind a variable"),
        pytest.param("/v1/{n=a/b}:c", ("v1", "a", "b"), "c", ("n",), ((1, 3),), id="verb behind several segments"),
        pytest.param("/v1/*:cancel", ("v1", ONE), "cancel", (), (), id="verb behind one"),
        pytest.param("/v1/**:cancel", ("v1", MANY), "cancel", (), (), id="verb behind many"),
        pytest.param("/v1/{id}:a:b", ("v1", ONE), "a:b", ("id",), ((1, 2),), id="verb with a colon"),
        pytest.param("/v1/x:a:b", ("v1", "x"), "a:b", (), (), id="verb with a colon behind a literal"),
        pytest.param("/a:b/c", ("a:b", "c"), "", (), (), id="colon in an inner literal"),
        pytest.param("/a:b/c:d", ("a:b", "c"), "d", (), (), id="inner colon and verb"),
        pytest.param("/api/users/:id", ("api", "users", ONE), "", ("id",), ((2, 3),), id="colon variable"),
        pytest.param("/:a/b/:c.d", (ONE, "b", ONE), "", ("a", "c.d"), ((0, 1), (2, 3)), id="two colon variables"),
        pytest.param("/users/:id:cancel", ("users", ONE), "cancel", ("id",), ((1, 2),), id="colon variable and verb"),
        pytest.param("/:a/{b}", (ONE, ONE), "", ("a", "b"), ((0, 1), (1, 2)), id="both styles"),
        pytest.param("/a%20b/%61/é", ("a b", "a", "é"), "", (), (), id="escapes and unicode"),
        pytest.param("/a b", ("a b",), "", (), (), id="unescaped space"),
        pytest.param("/a%2Fb%3Ac", ("a/b:c",), "", (), (), id="escaped slash and colon"),
        pytest.param("/%2A", ("*",), "", (), (), id="escaped star is a literal"),
        pytest.param("/a@b,c;d=e(f)'!$&+", ("a@b,c;d=e(f)'!$&+",), "", (), (), id="sub-delims"),
        pytest.param("/.well-known/a..b", (".well-known", "a..b"), "", (), (), id="dots"),
    ],
)
def test_semantics_2_and_3_grammar(
    text: str, segments: tuple[Segment, ...], verb: str, variables: tuple[str, ...], spans: tuple[tuple[int, int], ...]
) -> None:
    template = parse_template(text)
    assert template.text == text
    assert template.segments == segments
    assert (template.verb, template.variables, template.spans) == (verb, variables, spans)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        pytest.param("", 'expected "/"', 1, id="nothing"),
        pytest.param("v1", 'expected "/"', 1, id="no slash"),
        pytest.param("//", "expected a literal, a wildcard or a variable", 2, id="empty segment"),
        pytest.param("/v1/", "expected a literal, a wildcard or a variable", 5, id="trailing slash"),
        pytest.param("/v1//x", "expected a literal, a wildcard or a variable", 5, id="empty inner segment"),
        pytest.param("/{a={b}}", "must not contain another variable", 5, id="nested variable"),
        pytest.param("/{a=x/{b}}", "must not contain another variable", 7, id="nested variable behind a literal"),
        pytest.param("/{a=:b}", "must not contain another variable", 5, id="colon variable inside a variable"),
        pytest.param("/{a=x:y}", "must not contain a verb", 6, id="verb inside a variable"),
        pytest.param("/{}", "expected a field name", 3, id="no name"),
        pytest.param("/{1a}", "expected a field name", 3, id="digit first"),
        pytest.param("/{a.}", 'expected "}"', 4, id="dot last"),
        pytest.param("/{.a}", "expected a field name", 3, id="dot first"),
        pytest.param("/{a-b}", 'expected "}"', 4, id="dash in a name"),
        pytest.param("/{é}", "expected a field name", 3, id="unicode name"),
        pytest.param("/{a", 'expected "}"', 4, id="open"),
        pytest.param("/{a=", "expected a literal", 5, id="open after ="),
        pytest.param("/{a=}", "expected a literal", 5, id="nothing after ="),
        pytest.param("/{a=b/}", "expected a literal", 7, id="slash before the brace"),
        pytest.param("/{a}b", 'expected "/" or the end', 5, id="text behind a variable"),
        pytest.param("/b{a}", 'expected "/" or the end', 3, id="text before a variable"),
        pytest.param("/a}", 'expected "/" or the end', 3, id="stray brace"),
        pytest.param("/a*", 'expected "/" or the end', 3, id="star behind text"),
        pytest.param("/*a", 'expected "/" or the end', 3, id="text behind a star"),
        pytest.param("/***", 'expected "/" or the end', 4, id="three stars"),
        pytest.param("/**/x/**", "only once", 7, id="two many"),
        pytest.param("/**/{a=**}", "only once", 8, id="two many, one in a variable"),
        pytest.param("/{a}/{a}", "stands twice", 7, id="same variable twice"),
        pytest.param("/:a/{a}", "stands twice", 6, id="same variable in both styles"),
        pytest.param("/a:", "expected a literal", 4, id="empty verb"),
        pytest.param("/{a}:", "expected a literal", 6, id="empty verb behind a variable"),
        pytest.param("/a::b", "expected a verb", 4, id="empty first verb"),
        pytest.param("/a:b:", "expected a verb", 4, id="empty last verb"),
        pytest.param("/{a}:b/c", 'expected "/" or the end', 7, id="verb before the last segment"),
        pytest.param("/a:{b}", "expected a literal", 4, id="variable as a verb"),
        pytest.param("/a:*", "expected a literal", 4, id="wildcard as a verb"),
        pytest.param("/:", "expected a field name", 3, id="colon alone"),
        pytest.param("/:a-b", 'expected "/" or the end', 4, id="text behind a colon variable"),
        pytest.param("/:a=b", 'expected "/" or the end', 4, id="pattern behind a colon variable"),
        pytest.param("/a?b", 'expected "/" or the end', 3, id="query"),
        pytest.param("/a#b", 'expected "/" or the end', 3, id="fragment"),
        pytest.param("/a\\b", 'expected "/" or the end', 3, id="backslash"),
        pytest.param("/a\nb", 'expected "/" or the end', 3, id="line break"),
        pytest.param("/a%", "two hexadecimal digits", 2, id="bare percent"),
        pytest.param("/a/b%ff", "not UTF-8", 4, id="not utf-8"),
        pytest.param("/a/..", "relative segment", 4, id="dot dot can never match"),
        pytest.param("/%2e", "relative segment", 2, id="escaped dot"),
        pytest.param("/a%5C", "backslash", 2, id="escaped backslash"),
        pytest.param("/a%00", "control character", 2, id="nul"),
    ],
)
def test_semantics_3_errors_name_the_column(text: str, message: str, column: int) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_template(text)
    assert str(caught.value).endswith(f"at column {column}")


def test_overlong_template_is_refused() -> None:
    parse_template("/" + "a" * (MAX_TEMPLATE_CHARACTERS - 1))
    with pytest.raises(ValueError, match="longer than"):
        parse_template("/" + "a" * MAX_TEMPLATE_CHARACTERS)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(("/users/:id", "/users/{id}", "/users/{user_id=*}", "/users/*", "/%75sers/:x"), id="one variable"),
        pytest.param(("/v1/{name=shelves/*}", "/v1/shelves/{id}", "/v1/shelves/*"), id="several segments"),
        pytest.param(("/v1/{name=**}:x", "/v1/**:x", "/v1/**:%78"), id="many and verb"),
        pytest.param(("/a%20b", "/a b"), id="space"),
        pytest.param(("/caf%C3%A9", "/caf%c3%a9", "/café"), id="unicode"),
        pytest.param(("/a@b", "/a%40b"), id="reserved character"),
    ],
)
def test_semantics_2_texts_that_match_the_same_are_equal_in_canonical_form(texts: tuple[str, ...]) -> None:
    assert len({parse_template(text).canonical for text in texts}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/a/*", "/a/%2A", id="star and literal star"),
        pytest.param("/a:b", "/a%3Ab", id="verb and literal colon"),
        pytest.param("/a/b", "/a%2Fb", id="slash and literal slash"),
        pytest.param("/*", "/**", id="one and many"),
        pytest.param("/a", "/A", id="case"),
        pytest.param("/a%2525", "/a%25", id="percent"),
    ],
)
def test_texts_that_match_differently_differ_in_canonical_form(one: str, other: str) -> None:
    assert parse_template(one).canonical != parse_template(other).canonical


@given(shapes())
def test_every_template_of_the_grammar_is_read_as_it_was_built(shape: Shape) -> None:
    template = parse_template(shape.text)
    assert template.segments == shape.segments
    assert (template.verb, template.variables, template.spans) == (shape.verb, shape.variables, shape.spans)


@given(shapes())
def test_canonical_text_is_a_template_that_means_the_same(shape: Shape) -> None:
    template = parse_template(shape.text)
    again = parse_template(template.canonical)
    assert (again.segments, again.verb, again.canonical) == (template.segments, template.verb, template.canonical)


@given(st.text(st.sampled_from("/*{}=:.a%2é-_ \\\n?") | st.characters(), max_size=30))
def test_any_text_is_a_template_or_a_value_error(text: str) -> None:
    try:
        template = parse_template("/" + text)
    except ValueError:
        return
    assert isinstance(template, Template)
    assert len(template.variables) == len(template.spans)

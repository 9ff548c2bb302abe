"""Requests about everything that is more than one scalar: well-known types, bodies, paths, queries, HTTP itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.differential import values
from tests.differential.cases import Case, escaped, get, post, quoted

_WRAPPED = {
    "bool_value": values.BOOLS,
    "int32_value": (*values.INTEGERS[:10], *values.WRITTEN_OTHERWISE[:12]),
    "int64_value": (*values.INTEGERS, *values.WRITTEN_OTHERWISE[:6]),
    "uint32_value": values.INTEGERS[:12],
    "uint64_value": values.INTEGERS,
    "float_value": (*values.FRACTIONS, *values.WORDS),
    "double_value": (*values.FRACTIONS, *values.WORDS),
    "string_value": values.STRINGS,
    "bytes_value": values.BLOBS,
    "null_value": ("NULL_VALUE", "null", "0", "1", "", "x"),
}
_KNOWN = {
    "timestamp": values.TIMESTAMPS,
    "duration": values.DURATIONS,
    "mask": values.MASKS,
    "struct": values.JSON_TEXTS,
    "value": values.JSON_TEXTS,
    "list": values.JSON_TEXTS,
    "empty": ("{}", "", "null", "1"),
    "any": ("{}", '{"@type":"type.googleapis.com/differential.Inner","id":"x"}'),
    **_WRAPPED,
}
_ANY = (
    "{}",
    "null",
    "[]",
    '{"@type":""}',
    '{"@type":"type.googleapis.com/differential.Inner","id":"x"}',
    '{"id":"x","@type":"type.googleapis.com/differential.Inner"}',
    '{"@type":"type.googleapis.com/differential.Nope","id":"x"}',
    '{"@type":"differential.Inner","id":"x"}',
    '{"@type":"example.test/differential.Inner","id":"x"}',
    '{"@type":"type.googleapis.com/differential.Inner","nope":"x"}',
    '{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"}',
    '{"@type":"type.googleapis.com/google.protobuf.Timestamp","value":"2024-01-15T10:30:45Z"}',
    '{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"7"}',
    '{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"a":1}}',
    '{"@type":"type.googleapis.com/google.protobuf.Value","value":[1]}',
    '{"@type":"type.googleapis.com/google.protobuf.Empty"}',
    '{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}',
    '{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"type.googleapis.com/differential.Inner"}}',
    '{"id":"x"}',
    '{"@type":1}',
)


def known_cases() -> Iterator[Case]:
    """Well-known types in the query, and in JSON."""
    for name, texts in _KNOWN.items():
        yield from (get(f"query {name}", f"/v1/known?{name}={escaped(text)}") for text in texts)
        literals = [*map(quoted, texts), *values.LITERALS]
        if name in ("struct", "value", "list"):
            literals += texts
        if name.endswith("_value"):
            literals += [text for text in texts if is_json_number(text)]
        for literal in dict.fromkeys(literals):
            yield post(f"json {name}", "/v1/known", f'{{"{name}": {literal}}}')
    yield from (post("json any", "/v1/known", f'{{"any": {literal}}}') for literal in _ANY)
    for path in ("timestamp", "struct", "value", "any", "string"):
        for literal in (*values.LITERALS, *_ANY[:8], quoted(values.TIMESTAMPS[1]), '{"a":{"b":null}}'):
            yield post(f"field body {path}", f"/v1/known/{path}", literal)
    for key in ("timestamp.seconds=7", "duration.nanos=7", "mask.paths=a", "int64_value.value=7", "struct.fields=x"):
        yield get("query inside a well-known type", f"/v1/known?{key}")
    for literal in ('["2024-01-15T10:30:45Z"]', "[null]", "[1]", "null", '["1",2]'):
        yield post("json lists of well-known types", "/v1/known", f'{{"timestamps": {literal}}}')
        yield post("json lists of well-known types", "/v1/known", f'{{"int64Values": {literal}}}')
    for literal in ('{"a":1}', '{"a":null}', '{"a":{"b":[]}}', "null", "[]"):
        yield post("json maps of well-known types", "/v1/known", f'{{"values": {literal}}}')


def is_json_number(text: str) -> bool:
    """Whether a text is a number in JSON."""
    try:
        return isinstance(json.loads(text), int | float) and text[:1] in "-0123456789"
    except ValueError:
        return False


def body_cases() -> Iterator[Case]:
    """JSON bodies, whole and broken, for the whole message and for a field of it."""
    for text in values.BROKEN_JSON:
        yield post("json item", "/v1/items", text)
        yield post("json item beside the path", "/v1/items/p", text, method="PUT")
    for text in values.BROKEN_JSON[::3]:
        yield post("json item and query", "/v1/items?note=q", text)
    fields = ("tags", "inners", "labels", "note", "chosen")
    for field in fields:
        for literal in (
            *values.LITERALS,
            '["a","b"]',
            '[{"id":"x"}]',
            '{"id":"x"}',
            '{"level":1}',
            '"text"',
            "",
            "{",
            "[1,2]",
        ):
            yield post(f"field body {field}", f"/v1/items/p/{field}", literal)
    for body in ('{"id":"x"}', '{"id":"x","level":"7"}', '{"nope":1}', "{}", "null", "[]", "", '{"deeper":{"id":"y"}}'):
        for query in ("", "?note=q", "?tags=a&tags=b", "?inner.level=3", "?inner.id=3", "?name=q", "?nope=1"):
            yield post("field body inner", f"/v1/items/p{query}", body, method="PATCH")
    for path in ("/v1/inner/x/7", "/v1/inner/x/y"):
        for body in (
            '{"inner":{"id":"b"}}',
            '{"inner":{"level":1}}',
            '{"inner":{"deeper":{"level":1}}}',
            "{}",
            '{"note":"n"}',
        ):
            yield post("json beside nested path variables", path, body)


def path_cases() -> Iterator[Case]:
    """Templates, escapes, and paths that lead nowhere."""
    templates = (
        "/v1/one/{}",
        "/v1/many/{}",
        "/v1/many/x/{}/y",
        "/v1/shelves/{}/books/b",
        "/v1/shelves/{}/boxes/b",
        "/v1/verbs/{}",
    )
    for template in templates:
        yield from (get(f"segment in {template}", template.format(segment)) for segment in values.SEGMENTS)
    yield from (get("path", path) for path in values.PATHS)


def query_cases() -> Iterator[Case]:
    """Queries of a message with everything, alone and beside a path variable."""
    for query in values.QUERIES:
        yield get("query item", f"/v1/items?{query}")
        yield get("query item beside the path", f"/v1/items/p?{query}")
    for query in values.QUERIES[::2]:
        yield post("query and body", f"/v1/items?{query}", "{}")


def http_cases() -> Iterator[Case]:
    """Methods, content types, bodies where none belong."""
    for method in (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "REPORT",
        "PROPFIND",
        "get",
        "BREW",
    ):
        for path in (
            "/v1/items/a",
            "/v1/items",
            "/v1/one/a",
            "/v1/verbs/a:check",
            "/v1/nowhere",
            "/v1/nothing",
            "/v1/known",
        ):
            yield Case(area="method", method=method, target=path)
    types = (
        "application/json", "application/json; charset=utf-8", "application/json; charset=UTF-8",
        "application/json;charset=latin-1", "APPLICATION/JSON", "application/problem+json",
        "application/vnd.api+json; v=1", "text/json", "text/plain", "text/html", "*/*", "application/xml",
        "application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
        "json", "application/", "application/protobuf", "image/png",
    )  # fmt: skip
    for kind in types:
        for target in ("/v1/items", "/v1/items/p/tags", "/v1/nothing"):
            body = '["a"]' if target.endswith("tags") else '{"name":"a"}' if target.endswith("items") else "{}"
            yield post("content type", target, body, headers=(("content-type", kind),))
    for body in ("{}", '{"name":"b"}', "x", ""):
        for method, target in (
            ("GET", "/v1/items/a"),
            ("DELETE", "/v1/items/a"),
            ("GET", "/v1/nothing"),
            ("POST", "/v1/nothing"),
        ):
            yield post("body where none belongs", target, body, method=method)
    for body in ("name=a&note=b", "name=a+b&tags=x&tags=y", "nope=1", '{"name":"a"}'):
        yield post("form", "/v1/items", body, headers=(("content-type", "application/x-www-form-urlencoded"),))
    for accept in ("application/json", "*/*", "text/html", "application/xml", "", "text/event-stream"):
        yield Case(area="accept", target="/v1/items/a?note=x", headers=(("accept", accept),))
    yield from (
        post("no content type", target, "{}", headers=()) for target in ("/v1/items", "/v1/nothing", "/v1/known")
    )

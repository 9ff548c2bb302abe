"""From path, query and body to one request message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from tests.unit.transcoding.scenes import Case, as_json, binding, frames, method, summary

ECHO = method("Echo").input.type_name
FORM = b"application/x-www-form-urlencoded"


def _refused(case: Case, *variables: str, **parts: Any) -> tuple[int, str, str]:
    with pytest.raises(GatewayError) as caught:
        case(*variables, **parts)
    return summary(caught.value)


class TestWithoutBody:
    def test_path_and_query(self) -> None:
        """semantics 10."""
        case = Case("Echo", "id", "inner.id")
        assert case("i", "n", query="inner.level=HIGH&scalars.anInt32=5") == {
            "id": "i",
            "inner": {"id": "n", "level": "HIGH"},
            "scalars": {"anInt32": 5},
        }

    def test_query_alone(self) -> None:
        case = Case("EchoScalars")
        assert case() == {}
        assert case(query="anInt32=5") == {"anInt32": 5}

    @pytest.mark.parametrize("variable", ["id", "inner.id"])
    def test_query_key_bound_by_the_path_is_refused(self, variable: str) -> None:
        """semantics 10."""
        case = Case("Echo", variable)
        assert _refused(case, "x", query=f"{variable}=y") == (400, "PARAMETER_CONFLICT", variable)

    def test_query_cannot_choose_another_oneof_member_than_the_path(self) -> None:
        """semantics 11."""
        case = Case("EchoOneofs", "number")
        assert case("5", query="beside=x") == {"number": 5, "beside": "x"}
        assert _refused(case, "5", query="text=x") == (400, "PARAMETER_CONFLICT", "text")

    @pytest.mark.parametrize("variables", [(), ("x",)], ids=["query_only", "with_path"])
    def test_body_is_refused(self, variables: tuple[str, ...]) -> None:
        """semantics 13: also when it is empty JSON or of another type; an empty one is fine."""
        case = Case("EchoScalars", *(["a_string"] if variables else []))
        for kind in (b"", b"application/json", b"image/png"):
            assert _refused(case, *variables, body=b"{}", kind=kind) == (400, "UNEXPECTED_BODY", "")
            assert case(*variables, body=b"", kind=kind) == ({"aString": "x"} if variables else {})

    def test_required_field_can_only_be_missing(self) -> None:
        case = Case("legacy.LegacyService/Echo")
        assert _refused(case) == (400, "INVALID_FIELD", "name")
        assert case(query="name=n") == {"name": "n"}
        assert _refused(case, query="name=n&child.count=1") == (400, "INVALID_FIELD", "name")

    def test_path_value_must_fit(self) -> None:
        """semantics 16."""
        assert _refused(Case("EchoScalars", "an_int32"), "1_0") == (400, "INVALID_PARAMETER", "an_int32")

    def test_half_a_surrogate_pair_in_the_path_is_refused(self) -> None:
        """semantics 16: never 500, should the text ever be undecodable."""
        assert _refused(Case("EchoScalars", "a_string"), "\ud800") == (400, "INVALID_PARAMETER", "")

    @pytest.mark.parametrize(
        ("field", "text", "json_value"),
        [
            ("a_colour", "COLOUR_RED", "COLOUR_RED"),
            ("an_int64", "-5", "-5"),
            ("a_bool", "true", True),
            ("a_bytes", "YQ", "YQ=="),
            ("a_double", "Infinity", "Infinity"),
        ],
    )
    def test_path_variables_of_other_types(self, field: str, text: str, json_value: object) -> None:
        """semantics 11."""
        assert list(Case("EchoScalars", field)(text).values()) == [json_value]

    def test_unknown_query_can_be_ignored(self) -> None:
        """semantics 12: per service."""
        assert _refused(Case("Nothing"), query="utm_source=x") == (400, "UNKNOWN_PARAMETER", "utm_source")
        assert Case("Nothing", unknown_query="ignore")(query="utm_source=x&y[3]=z") == {}
        assert not binding("Nothing").takes_body


class TestWholeBody:
    def test_path_wins_over_the_body(self) -> None:
        """semantics 10."""
        case = Case("EchoScalars", "an_int32", body="*")
        assert case("7", body=b'{"anInt32": 5, "aBool": true}') == {"anInt32": 7, "aBool": True}
        assert binding("EchoScalars", body="*").takes_body

    def test_path_wins_over_another_oneof_member_in_the_body(self) -> None:
        assert Case("EchoOneofs", "number", body="*")("7", body=b'{"text": "x"}') == {"number": 7}

    def test_query_is_refused(self) -> None:
        """semantics 10: every field lies under the body."""
        case = Case("EchoScalars", "an_int32", body="*")
        assert _refused(case, "7", body=b"{}", query="aBool=true") == (400, "PARAMETER_CONFLICT", "aBool")
        assert _refused(case, "7", body=b"{}", query="nope=true") == (400, "UNKNOWN_PARAMETER", "nope")
        assert Case("EchoScalars", body="*", unknown_query="ignore")(body=b"{}", query="nope=true") == {}

    def test_empty_body_is_an_empty_message(self) -> None:
        """semantics 13: whatever its type says."""
        case = Case("EchoScalars", "an_int32", body="*")
        for kind in (b"", b"application/json", b"text/plain"):
            assert case("7", body=b"", kind=kind) == {"anInt32": 7}

    @pytest.mark.parametrize("kind", [b"", b"application/json", b"application/json; charset=UTF-8", b"a/b+json"])
    def test_json_types(self, kind: bytes) -> None:
        """semantics 14."""
        assert Case("EchoScalars", body="*")(body=b'{"anInt32": 5}', kind=kind) == {"anInt32": 5}

    @pytest.mark.parametrize(
        "kind", [b"text/plain", b"multipart/form-data; boundary=x", b"application/json;charset=latin1"]
    )
    def test_other_types_are_415(self, kind: bytes) -> None:
        """semantics 14."""
        assert _refused(Case("EchoScalars", body="*"), body=b"{}", kind=kind) == (415, "UNSUPPORTED_MEDIA_TYPE", "")

    def test_forms(self) -> None:
        """semantics 14: like a query, under the body's rules; the path still wins."""
        case = Case("EchoScalars", "an_int32", body="*")
        assert case("7", body=b"aBool=true&anInt32=9&aString=a+b", kind=FORM) == {
            "anInt32": 7,
            "aBool": True,
            "aString": "a b",
        }
        assert _refused(case, "7", body=b"nope=1", kind=FORM) == (400, "UNKNOWN_PARAMETER", "nope")
        assert _refused(case, "7", body=b"a=%", kind=FORM) == (400, "INVALID_FORM", "")
        lenient = Case("EchoScalars", body="*", unknown_fields="ignore")
        assert lenient(body=b"nope=1&aBool=true", kind=FORM) == {"aBool": True}

    def test_forms_do_not_fit_free_json(self) -> None:
        """semantics 14."""
        assert _refused(Case("Structured", body="*"), body=b"a=b", kind=FORM) == (415, "UNSUPPORTED_MEDIA_TYPE", "")

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            pytest.param("Structured", {"a": [1.0, None]}, id="struct"),
            pytest.param("Valued", [1.0, {"a": None}], id="value"),
            pytest.param("Nothing", {}, id="empty"),
        ],
    )
    def test_free_json_as_the_request(self, name: str, body: Any) -> None:
        assert Case(name, body="*")(body=json.dumps(body).encode()) == body

    def test_unknown_fields(self) -> None:
        """semantics 12."""
        assert _refused(Case("EchoScalars", body="*"), body=b'{"nope": 1}') == (400, "UNKNOWN_FIELD", "nope")
        assert Case("EchoScalars", body="*", unknown_fields="ignore")(body=b'{"nope": 1, "aBool": true}') == {
            "aBool": True
        }

    def test_enum_number_too_large_for_the_wire(self) -> None:
        """semantics 16: the codec finds it only when it writes."""
        for number in (b"2147483648", b"-99999999999999999999999"):
            assert _refused(Case("EchoScalars", body="*"), body=b'{"aColour": %b}' % number)[:2] == (
                400,
                "INVALID_FIELD",
            )


class TestFieldBody:
    @pytest.mark.parametrize(
        ("field", "body"),
        [
            pytest.param("shelves", [{"name": "x"}, {}], id="list"),
            pytest.param("counts", {"a": 1}, id="map"),
            pytest.param("note", "x", id="string"),
            pytest.param("size", "5", id="int64"),
            pytest.param("colour", "COLOUR_RED", id="enum"),
            pytest.param("raw", "YQ==", id="bytes"),
            pytest.param("at", "2020-01-01T00:00:00Z", id="timestamp"),
            pytest.param("value", {"a": None}, id="value"),
            pytest.param("value", None, id="null_value"),
            pytest.param("one", {"name": "x"}, id="oneof_message"),
            pytest.param("other", "x", id="oneof_string"),
            pytest.param("wrapped", "5", id="wrapper"),
            pytest.param("any", {"@type": "type.googleapis.com/everything.Tree", "name": "t"}, id="any"),
        ],
    )
    def test_fields_of_every_kind(self, field: str, body: Any) -> None:
        """semantics 13."""
        case = Case("FieldBody", "id", body=field)
        assert case("i", body=json.dumps(body).encode()) == {"id": "i", field: body}

    def test_query_brings_the_other_fields(self) -> None:
        """semantics 10."""
        case = Case("UpdateShelf", "shelf.name", body="shelf")
        assert case("n", body=b'{"name": "other", "theme": "t"}', query="id=i&validateOnly=true") == {
            "id": "i",
            "shelf": {"name": "n", "theme": "t"},
            "validateOnly": True,
        }

    @pytest.mark.parametrize("key", ["shelf.theme", "shelf.name", "shelf.inner.id"])
    def test_query_key_under_the_body_is_refused(self, key: str) -> None:
        """semantics 10."""
        case = Case("UpdateShelf", "shelf.name", body="shelf")
        assert _refused(case, "n", body=b"{}", query=f"{key}=x") == (400, "PARAMETER_CONFLICT", key)

    def test_query_cannot_choose_another_oneof_member_than_the_body(self) -> None:
        """semantics 11."""
        case = Case("FieldBody", body="one")
        assert _refused(case, body=b"{}", query="other=x") == (400, "PARAMETER_CONFLICT", "other")

    @pytest.mark.parametrize("field", ["update_mask", "updateMask"])
    def test_body_is_found_by_either_name(self, field: str) -> None:
        assert Case("UpdateShelf", body=field)(body=b'"a"') == {"updateMask": "a"}

    @pytest.mark.parametrize("body", [b'{},"id":"x"', b'{}}{"a":1', b"", b" ", b"{} {}"])
    def test_body_cannot_reach_beyond_its_field(self, body: bytes) -> None:
        """semantics 16: one JSON value and nothing else."""
        case = Case("UpdateShelf", body="shelf")
        if body:
            assert _refused(case, body=body)[:2] == (400, "INVALID_JSON")
        else:
            assert case(body=body) == {}

    def test_errors_have_the_whole_path(self) -> None:
        """semantics 16."""
        case = Case("FieldBody", body="shelves")
        assert _refused(case, body=b'[{}, {"size": "x"}]') == (400, "INVALID_FIELD", "shelves[1].size")
        assert _refused(case, body=b'[{"nope": 1}]') == (400, "UNKNOWN_FIELD", "shelves[0].nope")
        assert _refused(case, body=b"{}") == (400, "INVALID_FIELD", "shelves")

    def test_forms(self) -> None:
        """semantics 14: into a message field; other fields have no form."""
        case = Case("UpdateShelf", body="shelf")
        assert case(body=b"theme=t&tags=a&tags=b&labels[x]=y", kind=FORM) == {
            "shelf": {"theme": "t", "tags": ["a", "b"], "labels": {"x": "y"}}
        }
        assert _refused(Case("FieldBody", body="note"), body=b"a=b", kind=FORM) == (415, "UNSUPPORTED_MEDIA_TYPE", "")


class TestHttpBody:
    @pytest.mark.parametrize(
        "kind", [b"image/png", b"multipart/form-data; boundary=x", b"application/json", FORM, b"", b"junk"]
    )
    def test_whole_request_takes_any_type_raw(self, kind: bytes) -> None:
        """semantics 14."""
        case = Case("RawUpload", body="*")
        expected = {"contentType": kind.decode(), "data": "AP97fQ=="} if kind else {"data": "AP97fQ=="}
        assert case(body=b"\x00\xff{}", kind=kind) == expected
        assert binding("RawUpload", body="*").is_raw

    def test_field_takes_any_type_raw(self) -> None:
        """semantics 14."""
        case = Case("Upload", "name", body="file")
        assert case("n", body=b"\x00", kind=b"multipart/form-data; boundary=x", query="labels[a]=b") == {
            "name": "n",
            "file": {"contentType": "multipart/form-data; boundary=x", "data": "AA=="},
            "labels": {"a": "b"},
        }
        assert binding("Upload", body="file").is_raw
        assert _refused(case, "n", body=b"", query="file.data=x") == (400, "PARAMETER_CONFLICT", "file.data")

    def test_empty_body_keeps_its_type(self) -> None:
        assert Case("RawUpload", body="*")(body=b"", kind=b"text/plain") == {"contentType": "text/plain"}
        assert Case("Upload", body="file")(body=b"", kind=b"text/plain") == {"file": {"contentType": "text/plain"}}

    def test_content_type_must_be_text(self) -> None:
        assert _refused(Case("RawUpload", body="*"), body=b"x", kind=b"\xff")[0] == 415

    def test_json_requests_are_not_raw(self) -> None:
        assert not binding("EchoScalars", body="*").is_raw
        assert not binding("Upload", body="*").is_raw
        assert not binding("FieldBody", body="shelves").is_raw


class TestPatch:
    @pytest.mark.parametrize(
        ("body", "mask"),
        [
            pytest.param({"theme": "t"}, "theme", id="one"),
            pytest.param({"theme": "", "size": None}, "size,theme", id="null_and_default_count"),
            pytest.param({"inner": {"level": "HIGH", "id": "x"}}, "inner.id,inner.level", id="nested"),
            pytest.param({"inner": {}}, "inner", id="empty_object_is_a_leaf"),
            pytest.param({"inner": None}, "inner", id="null_is_a_leaf"),
            pytest.param({"labels": {"a": "b"}, "tags": ["x"]}, "labels,tags", id="maps_and_lists_are_leaves"),
            pytest.param({"extra": {"a": {"b": 1}}}, "extra", id="struct_is_a_leaf"),
            pytest.param({"any": {"@type": "t/everything.Tree", "name": "x"}}, "any", id="any_is_a_leaf"),
            pytest.param({"created": "2020-01-01T00:00:00Z"}, "created", id="timestamp_is_a_leaf"),
            pytest.param({}, None, id="nothing"),
        ],
    )
    def test_mask_is_filled_with_the_paths_in_the_body(self, body: Any, mask: str | None) -> None:
        """semantics 15."""
        case = Case("UpdateShelf", "id", body="shelf", verb="PATCH")
        assert case("i", body=json.dumps(body).encode()).get("updateMask") == mask

    def test_mask_uses_proto_names(self) -> None:
        """semantics 15: on the wire paths are proto names, however the client spells fields."""
        patch = binding("UpdateShelf", body="shelf", verb="PATCH")
        wire = patch.bind((), "", b'{"inner": {"id": "x"}, "theme": "t"}', b"")
        assert as_json("UpdateShelfRequest", wire)["updateMask"] == "inner.id,theme"

    def test_mask_given_by_the_client_stays(self) -> None:
        """semantics 15: in the query; an empty one counts as left out."""
        case = Case("UpdateShelf", body="shelf", verb="PATCH")
        assert case(body=b'{"theme": "t", "size": 1}', query="updateMask=theme")["updateMask"] == "theme"
        assert case(body=b'{"theme": "t"}', query="updateMask=")["updateMask"] == "theme"

    def test_path_variables_are_not_in_the_mask(self) -> None:
        case = Case("UpdateShelf", "shelf.name", body="shelf", verb="PATCH")
        assert case("n", body=b'{"theme": "t"}')["updateMask"] == "theme"

    def test_unknown_fields_are_not_in_the_mask(self) -> None:
        case = Case("UpdateShelf", body="shelf", verb="PATCH", unknown_fields="ignore")
        assert case(body=b'{"theme": "t", "nope": {"a": 1}}')["updateMask"] == "theme"

    def test_forms_fill_the_mask_too(self) -> None:
        case = Case("UpdateShelf", body="shelf", verb="PATCH")
        assert case(body=b"theme=t&inner.id=x&tags=a&tags=b", kind=FORM)["updateMask"] == "inner.id,tags,theme"

    @pytest.mark.parametrize(
        ("case", "body"),
        [
            pytest.param(Case("UpdateShelf", body="shelf", verb="PUT"), b'{"theme": "t"}', id="put"),
            pytest.param(Case("UpdateShelf", body="shelf"), b'{"theme": "t"}', id="no_verb"),
            pytest.param(Case("UpdateShelf", body="*", verb="PATCH"), b'{"shelf": {"theme": "t"}}', id="whole_body"),
            pytest.param(Case("TwoMasks", body="shelf", verb="PATCH"), b'{"theme": "t"}', id="two_masks"),
            pytest.param(Case("FieldBody", body="one", verb="PATCH"), b'{"theme": "t"}', id="no_mask_field"),
            pytest.param(Case("UpdateShelf", body="shelf", verb="PATCH"), b"null", id="null"),
            pytest.param(Case("UpdateShelf", body="shelf", verb="PATCH"), b"", id="empty_body"),
        ],
    )
    def test_no_mask_is_filled(self, case: Case, body: bytes) -> None:
        """semantics 15: only PATCH, only with one mask, only when the body is a field."""
        answer = case(body=body)
        assert not {"updateMask", "readMask"} & answer.keys()


class TestFrames:
    """Of a rule without a body, whose messages come one by one (semantics 10, 25)."""

    def test_first_frame_goes_over_the_query_and_the_path_over_both(self) -> None:
        made = frames("Echo", "id")
        first = made.bind(
            ("path",), "inner.id=query&inner.level=HIGH", b'{"id": "frame", "inner": {"id": "frame"}}', b""
        )
        assert as_json(ECHO, first) == {"id": "path", "inner": {"id": "frame", "level": "HIGH"}}
        assert as_json(ECHO, made.bind(("path",), "", b"", b"")) == {"id": "path"}

    def test_later_frames_have_neither(self) -> None:
        assert as_json(ECHO, frames("Echo", "id").bind_next(b'{"inner": {"id": "n"}}')) == {"inner": {"id": "n"}}

    @pytest.mark.parametrize(("query", "field"), [("id=x", "id"), ("nonsense=x", "nonsense")])
    def test_query_is_held_to_the_same_rules(self, query: str, field: str) -> None:
        with pytest.raises(GatewayError) as caught:
            frames("Echo", "id").bind(("path",), query, b"{}", b"")
        assert (caught.value.http, summary(caught.value)[2]) == (400, field)


@pytest.mark.parametrize(
    ("variables", "body", "words"),
    [
        pytest.param(("nope",), "", "no such field", id="unknown_variable"),
        pytest.param(("inner",), "", "is a message", id="message_variable"),
        pytest.param(("id", "id"), "", "twice", id="variable_twice"),
        pytest.param(("oneofs.number", "oneofs.text"), "", "together", id="two_members_of_a_oneof"),
        pytest.param((), "nope", "no field nope", id="unknown_body"),
        pytest.param((), "inner.id", "no field inner.id", id="nested_body"),
        pytest.param(("id",), "id", "path variable", id="body_is_a_variable"),
    ],
)
def test_rules_that_do_not_fit_are_refused_at_compile_time(variables: tuple[str, ...], body: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        binding("Echo", *variables, body=body)


_BINDINGS = [
    binding("EchoWellKnown"),
    binding("Echo", "id", "inner.id"),
    binding("EchoWellKnown", body="*"),
    binding("UpdateShelf", "shelf.name", "id", body="shelf", verb="PATCH"),
    binding("FieldBody", "id", body="any", unknown_fields="ignore", unknown_query="ignore"),
    binding("Upload", "name", body="file"),
    binding("legacy.LegacyService/Echo", body="*"),
    binding("EchoTree", body="*"),
]
_VARIABLES = [0, 2, 0, 2, 1, 1, 0, 0]
_BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b'{"any":' * 300, b'{"only":{},"leaf":""}', b'{"value":1e400}', b'{"mask":"\\ud800"}', b"[" * 5000]
    ),
)
_TYPES = st.one_of(st.sampled_from([b"", b"application/json", FORM, b"text/plain"]), st.binary(max_size=20))


@settings(max_examples=400, deadline=None)
@given(
    index=st.integers(0, len(_BINDINGS) - 1),
    texts=st.tuples(st.text(max_size=8), st.text(max_size=8)),
    query=st.text(max_size=40),
    body=_BODIES,
    content_type=_TYPES,
)
def test_bind_raises_nothing_but_the_declared_errors(
    index: int, texts: tuple[str, str], query: str, body: bytes, content_type: bytes
) -> None:
    """semantics 16, H22: whatever a client sends."""
    try:
        _BINDINGS[index].bind(texts[: _VARIABLES[index]], query, body, content_type)
    except GatewayError as error:
        assert error.http in (400, 415)
        assert "<class" not in error.message

"""Our messages against Google's protobuf: the same bytes mean the same."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from api_gateway.policy import contracts
from api_gateway.policy.contracts import PolicyAnswer, TokenAnswer


def theirs(name: str, **values: object) -> bytes:
    """Serialize a message of the published contract (without presence) with google.protobuf."""
    fields = {
        "AuthPolicyRequest": [("grpc_method", 9, 1)],
        "AuthPolicyResponse": [("require_auth", 8, 1), ("required_roles", 9, 3), ("cache_ttl_seconds", 5, 1)],
        "ValidateTokenRequest": [("token", 9, 1)],
        "ValidateTokenResponse": [("valid", 8, 1), ("user_id", 9, 1), ("roles", 9, 3), ("error", 9, 1)],
    }[name]
    file = descriptor_pb2.FileDescriptorProto(name="theirs.proto", package="theirs", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, (field, kind, label) in enumerate(fields, 1):
        message.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]  # the stubs leave it out
    made: Message = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"theirs.{name}"))(**values)
    return made.SerializeToString()


def test_requests() -> None:
    """The bytes that backends get."""
    assert contracts.encode_policy_request("a.B/C") == theirs("AuthPolicyRequest", grpc_method="a.B/C")
    assert contracts.encode_token_request("t.o.k") == theirs("ValidateTokenRequest", token="t.o.k")


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        pytest.param({}, PolicyAnswer(False, (), None), id="nothing"),
        pytest.param(
            {"require_auth": True, "required_roles": ["a", "b"], "cache_ttl_seconds": 60},
            PolicyAnswer(True, ("a", "b"), 60),
            id="all",
        ),
        pytest.param({"cache_ttl_seconds": -1}, PolicyAnswer(False, (), -1), id="negative"),
    ],
)
def test_policy_answers(values: dict[str, object], answer: PolicyAnswer) -> None:
    """What a plain proto3 backend sends."""
    assert contracts.decode_policy_answer(theirs("AuthPolicyResponse", **values)) == answer


def test_explicit_zero_is_not_nothing() -> None:
    """semantics 33: a backend with `optional int32 cache_ttl_seconds` can say 0."""
    assert contracts.decode_policy_answer(b"\x18\x00") == PolicyAnswer(False, (), 0)


def test_token_answers() -> None:
    """What the auth service sends."""
    data = theirs("ValidateTokenResponse", valid=True, user_id="u", roles=["a", "b"], error="e")
    assert contracts.decode_token_answer(data) == TokenAnswer(True, "u", ("a", "b"), "e")
    assert contracts.decode_token_answer(b"") == TokenAnswer(False, "", (), "")


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x02\xff\xfe", b"\x12\x05abc", b"\x00\x00"])
def test_junk(data: bytes) -> None:
    """ValueError, nothing else."""
    for decode in (contracts.decode_policy_answer, contracts.decode_token_answer):
        with pytest.raises(ValueError, match=r"."):
            decode(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x01x", id="require_auth is a text"),
        pytest.param(b"\x0d\x01\x00\x00\x00", id="require_auth is fixed32"),
        pytest.param(b"\x08\x01\x10\x05", id="a role is a number"),
        pytest.param(b"\x08\x01\x1a\x01x", id="the lifetime is a text"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x08", id="ends after a tag"),
        pytest.param(b"\x12\x05ab", id="ends inside a text"),
        pytest.param(b"\x08" + b"\xff" * 11, id="endless number"),
        pytest.param(b"\x12\x02\xff\xfe", id="a role that is no UTF-8"),
    ],
)
def test_an_answer_of_other_types_is_none(data: bytes) -> None:
    """semantics 33, never fail open: protobuf would read the first ones as "everybody may call"."""
    with pytest.raises(ValueError):  # whatever it says
        contracts.decode_policy_answer(data)


@pytest.mark.parametrize("data", [b"\x0a\x01x", b"\x08\x01\x10\x05", b"\x08\x01\x18\x01", b"\x08\x01\x12\x05ab"])
def test_a_token_answer_of_other_types_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):  # whatever it says
        contracts.decode_token_answer(data)


@pytest.mark.parametrize("more", [b"\x20\x07", b"\x2a\x03abc", b"\x31" + b"x" * 8, b"\x3d" + b"x" * 4])
def test_fields_of_newer_contracts_are_passed_over(more: bytes) -> None:
    assert contracts.decode_policy_answer(b"\x08\x01" + more) == PolicyAnswer(True, (), None)

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

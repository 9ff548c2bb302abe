"""Runs all cases against both gateways and pairs the outcomes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from tests.differential.answers import body_answer_cases, error_cases, message_cases
from tests.differential.cases import Case
from tests.differential.client import Asker
from tests.differential.compare import Outcome, Pair, parse_json
from tests.differential.requests import body_cases, http_cases, known_cases, path_cases, query_cases
from tests.differential.scalars import scalar_cases
from tests.support.descriptors import descriptors_of
from tests.support.envoy import Envoy, start_envoy
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.raw_http import Answer, MalformedAnswerError
from tests.support.recording_backend import RecordingBackend, recording_backend

SEED: Final = 20_240_115
RANDOM_MESSAGES: Final = 200
SCHEMA: Final = "differential.proto"
SERVICE: Final = "differential.Probe"

GATEWAY: Final[dict[str, Any]] = {
    # Answers that are no messages come on purpose and in a row.
    "service": {"circuit_breaker": {"failure_threshold": 1_000_000}},
    # Envoy's shape of errors, so that what backends say can be compared whole.
    "errors": {"format": "status"},
}
OPTIONS: Final = {
    "services": [SERVICE],
    "convert_grpc_status": True,
    "query_param_unescape_plus": True,
    "request_validation_options": {
        "reject_unknown_method": True,
        "reject_unknown_query_parameters": True,
        "reject_binding_body_field_collisions": True,
    },
}
"""Envoy's transcoder as near to our defaults as its settings allow."""


def all_cases(pool: DescriptorPool) -> list[Case]:
    """Return the cases, the same ones each time."""
    return [
        *scalar_cases(),
        *known_cases(),
        *body_cases(),
        *path_cases(),
        *query_cases(),
        *http_cases(),
        *error_cases(pool),
        *body_answer_cases(pool),
        *message_cases(pool, RANDOM_MESSAGES, SEED),
    ]


def run_all() -> list[Pair]:
    """Start backend, gateway and Envoy, ask both everything, stop them."""
    with ExitStack() as stack:
        backend = stack.enter_context(recording_backend(descriptors_of(SCHEMA)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-")))
        gateway = stack.enter_context(start_gateway(serving(backend.endpoint, **GATEWAY)))
        envoy = stack.enter_context(start_envoy(envoy_options(backend, folder), backend.port))
        cases = all_cases(backend.pool)
        gateway.wait_until_routed("/v1/nothing")
        with ThreadPoolExecutor(2) as threads:
            ours = threads.submit(_ask_all, _gateway_target(gateway), backend, cases)
            theirs = threads.submit(_ask_all, _envoy_target(envoy), backend, cases)
            outcomes = zip(cases, ours.result(), theirs.result(), strict=True)
            return [Pair(case=case, ours=our, envoy=their) for case, our, their in outcomes]


def _gateway_target(gateway: RunningGateway) -> _Target:
    return _Target(name="gateway", port=lambda: gateway.port, has_crashed=lambda: False)


def _envoy_target(envoy: Envoy) -> _Target:
    def has_crashed() -> bool:
        crashed = envoy.has_crashed()
        if crashed:
            envoy.start()
        return crashed

    return _Target(name="envoy", port=lambda: envoy.port, has_crashed=has_crashed)


def envoy_options(backend: RecordingBackend, folder: Path) -> dict[str, Any]:
    """Write the descriptors to a file in `folder`; return the configuration of Envoy's transcoder."""
    files = [_without_response_body(file) for file in backend.files]
    path = folder / "descriptors.pb"
    path.write_bytes(FileDescriptorSet(file=files).SerializeToString())
    return {"proto_descriptor": str(path), **OPTIONS}


def _without_response_body(file: FileDescriptorProto) -> FileDescriptorProto:
    """Return a file without `response_body`, for which Envoy would refuse to start."""
    copy = FileDescriptorProto.FromString(file.SerializeToString())
    for service in copy.service:
        for method in service.method:
            rule = method.options.Extensions[annotations_pb2.http]
            for each in (rule, *rule.additional_bindings):
                each.ClearField("response_body")
    return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One of the two gateways."""

    name: str
    port: Callable[[], int]
    has_crashed: Callable[[], bool]
    """Asked when it closed a connection without an answer; it serves again afterwards."""


def _ask_all(target: _Target, backend: RecordingBackend, cases: Sequence[Case]) -> list[Outcome]:
    with Asker(target.port) as asker:
        return [_ask(target, asker, backend, f"{target.name}-{number}", case) for number, case in enumerate(cases)]


def _ask(target: _Target, asker: Asker, backend: RecordingBackend, probe: str, case: Case) -> Outcome:
    if case.reply is not None:
        backend.plan(probe, case.reply)
    has_crashed = False
    try:
        answer = asker.ask(case.wire(probe), is_head=case.method == "HEAD")
    except MalformedAnswerError as error:
        answer = Answer(status=0, headers=(), body=str(error).encode())
        has_crashed = target.has_crashed()
    return Outcome(
        status=answer.status,
        content_type=(answer.header(b"content-type") or b"").decode("latin-1"),
        body=answer.body,
        json=parse_json(answer.body),
        seen=backend.take(probe),
        has_crashed=has_crashed,
    )

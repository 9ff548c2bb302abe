"""Tokens checked by the auth service: `auth.AuthService/ValidateToken` (semantics 34)."""

from __future__ import annotations

import math
from typing import Final

from ..model.errors import GatewayError, Source
from ..model.status import Code
from ..model.upstream import UnaryCaller
from .contracts import VALIDATE_TOKEN, decode_token_answer, encode_token_request
from .identity import encode_claims, make_identity
from .questions import Asker, Clock, Questions, loop_time
from .refusal import Reason, Refused
from .tokens.compact import parse_compact
from .tokens.strict_json import parse_object
from .tokens.verifier import Verified

MAX_OPEN: Final = 1_000
"""Most tokens being asked about at a time, per worker; one more request gets 503."""
_MAX_DETAIL: Final = 200


class TokenService:
    """Asks the auth service. Requests with the same token wait for one question."""

    def __init__(self, caller: UnaryCaller, *, timeout_s: float, keep_s: float, clock: Clock = loop_time) -> None:
        self._clock = clock
        self.keep_s = keep_s
        self._caller = caller
        self._timeout_s = timeout_s
        self._questions: Questions[Verified] = Questions(max_open=MAX_OPEN)

    async def validate(self, token: bytes, digest: bytes, asker: Asker) -> Verified:
        """Return whose token it is.

        Raises Refused: REJECTED by the service, IDENTITY, VALIDATOR_UNAVAILABLE, OVERLOADED, or DEADLINE when
        the asker's deadline comes first.
        """

        async def ask() -> Verified:
            return await self._ask(token, asker)

        return await self._questions.ask(digest, ask, asker.deadline_s)

    def is_ready(self, now_s: float) -> bool:
        """Return True: a service that cannot be reached is found out by asking."""
        return True

    def start(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Give up open questions."""
        await self._questions.aclose()

    async def _ask(self, token: bytes, asker: Asker) -> Verified:
        text = token.decode("ascii")
        try:
            reply = await self._caller.unary(
                VALIDATE_TOKEN,
                encode_token_request(text),
                deadline_s=self._clock() + self._timeout_s,
                metadata=asker.metadata,
                trace=asker.trace,
            )
            answer = decode_token_answer(reply.message)
        except GatewayError as error:
            if error.code == Code.UNAUTHENTICATED and error.source is Source.UPSTREAM and not error.reason:
                # The gateway sends no credentials of its own, so this can only be about the token.
                raise Refused(Reason.REJECTED, "the auth service answered UNAUTHENTICATED") from error
            raise Refused(Reason.VALIDATOR_UNAVAILABLE, _without(text, error.for_log())) from error
        except ValueError as error:
            raise Refused(Reason.VALIDATOR_UNAVAILABLE, "the auth service's answer cannot be read") from error
        if not answer.valid:
            raise Refused(Reason.REJECTED, _without(text, answer.error))
        try:
            identity = make_identity(answer.user_id, answer.roles, encode_claims(answer.user_id, answer.roles))
        except ValueError as error:
            raise Refused(Reason.IDENTITY, str(error)) from error
        return Verified(identity, read_expiry(token))


def _without(token: str, text: str) -> str:
    """Return text of the other side for the log: short, and without the token it may echo."""
    return text.replace(token, "<token>")[:_MAX_DETAIL]


def read_expiry(token: bytes) -> float:
    """Return the wall-clock `exp` of a token that was found good; infinity when it is no JWT or has none."""
    try:
        claims = parse_object(parse_compact(token, max_bytes=len(token)).payload, max_depth=32)
    except (Refused, ValueError):
        return math.inf
    expires_s = claims.get("exp")
    return float(expires_s) if isinstance(expires_s, int | float) and abs(expires_s) < 2**53 else math.inf

"""May this caller call this method? The policy comes from the backend, the caller from the token (semantics 32 to 35).

A request whose method's policy is known and whose token was seen before is decided at once; everything else is awaited.
Nothing here fails open: what cannot be decided is refused with 503.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from ..config.settings import AuthSettings, JwtSettings
from ..model.exchange import Exchange
from ..model.policy import Policy
from ..model.upstream import UnaryCaller
from .identity import IDENTITY_HEADERS, Identity
from .jwks import Fetch, JwksSource, KeyFetch, https_fetch
from .method_policy import MethodPolicies, MethodPolicy, Requirement
from .questions import Asker, Clock, loop_time
from .refusal import Reason, Refused, refusal_error
from .template_shape import template_shape
from .token_keys import ConfiguredKeys, TokenKeys
from .token_service import TokenService
from .tokens.cache import VerifiedTokens
from .tokens.verifier import JwtVerifier, Verified, configured_keys

__all__ = ["IDENTITY_HEADERS", "Auth", "AuthListener", "GuardedRoute", "KeyFetch", "Reason", "TokenValidator"]

_AUTHORIZATION: Final = b"authorization"
_SCHEME: Final = b"bearer "
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""b64token of RFC 6750 section 2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedRoute:
    """What has to be known about a route to guard it."""

    service: str
    """Key of the service."""
    method: str
    """Full name, `package.Service/Method`."""
    template: str
    """Path template as its author wrote it."""
    verb: str
    """HTTP method."""


@dataclass(frozen=True, slots=True)
class AuthListener:
    """Hears what happens; called at once, never for a request that passes."""

    on_failure: Callable[[Reason], None]
    """A request was refused: `gateway_auth_failures_total{reason}`."""
    on_key_fetch: Callable[[KeyFetch], None]
    """A fetch of the key set ended."""


class TokenValidator(Protocol):
    """Somebody who can tell whether a token is good."""

    keep_s: float
    """How long its answer may be remembered, in seconds, at most until the token expires."""

    def validate(self, token: bytes, digest: bytes, asker: Asker) -> Verified | Awaitable[Verified]:
        """Return whose token it is, at once or later. Raises Refused."""

    def is_ready(self, now_s: float) -> bool:
        """Whether it can tell."""

    def start(self) -> None:
        """Begin what it does in the background."""

    async def aclose(self) -> None:
        """End what it does; who waits gets Refused(OVERLOADED)."""


class Auth:
    """Authentication and authorization for all routes of one worker.

    Raises ValueError when the configured keys cannot be used. Call `start` in the worker's loop before the first
    request, `aclose` after the last.
    """

    def __init__(
        self,
        settings: AuthSettings,
        listener: AuthListener,
        *,
        service: UnaryCaller | None = None,
        fetch_keys: Fetch | None = None,
        wall_clock: Callable[[], float] = time.time,
        clock: Clock = loop_time,
    ) -> None:
        """`service` is the channel to `service_endpoint`; needed unless `auth.jwt` is configured."""
        self._settings = settings
        self._clock = clock
        self._timeout_s = settings.timeout_ms / 1000
        self._listener = listener
        self.tokens = VerifiedTokens(max_entries=settings.max_cached_tokens, wall_clock=wall_clock)
        self._policies = MethodPolicies(
            default=None if settings.default_policy == "public" else frozenset(), timeout_s=self._timeout_s, clock=clock
        )
        self._validator = self._make_validator(service, fetch_keys, wall_clock)

    def start(self) -> None:
        """Begin to fetch keys, when they are published somewhere. Needs a running loop."""
        self._validator.start()

    async def aclose(self) -> None:
        """End all open questions; requests that wait for one get 503."""
        await self._policies.aclose()
        await self._validator.aclose()

    def is_ready(self, now_s: float) -> bool:
        """Whether tokens can be checked: false while the key set was never loaded (J49). `now_s` is monotonic."""
        return self._validator.is_ready(now_s)

    def bind(self, route: GuardedRoute, source: UnaryCaller) -> Policy:
        """Return the policy of one route. `source` is the channel to its service, which is asked what it demands."""
        shape = template_shape(route.template)
        for public in self._settings.public_routes:
            if template_shape(public.path) == shape and public.method in ("*", route.verb):
                return PublicRoute(self)
        return MethodGuard(self, self._policies.of(route.service, route.method, source))

    def bind_role(self, role: str) -> RoleGuard:
        """Return a policy that demands a token with a role, whatever any backend says: for `/admin/*`."""
        return RoleGuard(self, frozenset({role}))

    async def require_role(self, exchange: Exchange, role: str) -> None:
        """Let pass only callers whose token has the role. Raises GatewayError as a route's policy does."""
        pending = self.bind_role(role).admit(exchange, self._clock())
        if pending is not None:
            await pending

    def forget_policies(self) -> None:
        """Ask every backend again for its methods' policies, each at the next request."""
        self._policies.forget()

    # What the guards use

    def refuse_repeated(self, exchange: Exchange) -> None:
        """Refuse two Authorization headers: two parts might believe different ones (J37)."""
        if exchange.request.repeated and _AUTHORIZATION in exchange.request.repeated:
            raise self.refuse(Refused(Reason.REPEATED_AUTHORIZATION))

    def authenticate(self, exchange: Exchange, roles: frozenset[str], now_s: float) -> Awaitable[None] | None:
        """Find out who sent the token, and that the caller has one of the roles, if any are asked for."""
        value = exchange.request.headers.get(_AUTHORIZATION)
        if value is None:
            raise self.refuse(Refused(Reason.MISSING_TOKEN))
        if value[:7].lower() != _SCHEME:
            raise self.refuse(Refused(Reason.BAD_SCHEME))
        token = value[7:]
        if len(token) > self._settings.max_token_bytes:
            raise self.refuse(Refused(Reason.TOO_LARGE))
        digest = sha256(token).digest()
        identity = self.tokens.get(digest, now_s)
        if identity is None:
            return self._authenticate_new(exchange, roles, token, digest, now_s)
        self._let_in(exchange, identity, roles)
        return None

    async def decide(self, exchange: Exchange, policy: MethodPolicy, now_s: float) -> None:
        """Ask for the policy of a method, then authenticate."""
        try:
            requirement = await self._policies.learn(policy, self._asker(exchange, now_s))
        except Refused as refused:
            raise self.refuse(refused) from refused
        if requirement is None:
            return
        pending = self.authenticate(exchange, requirement, self._clock())
        if pending is not None:
            await pending

    def refuse(self, refused: Refused) -> Exception:
        """Count a refusal and return the error for the client."""
        self._listener.on_failure(refused.reason)
        return refusal_error(refused)

    # Tokens that were not seen before

    def _authenticate_new(
        self, exchange: Exchange, roles: frozenset[str], token: bytes, digest: bytes, now_s: float
    ) -> Awaitable[None] | None:
        if _TOKEN.fullmatch(token) is None:
            raise self.refuse(Refused(Reason.BAD_SCHEME, "not a bearer token"))
        try:
            verified = self._validator.validate(token, digest, self._asker(exchange, now_s))
        except Refused as refused:
            raise self.refuse(refused) from refused
        if isinstance(verified, Verified):
            self._accept(exchange, roles, digest, verified, now_s)
            return None
        return self._authenticate_later(exchange, roles, digest, verified)

    async def _authenticate_later(
        self, exchange: Exchange, roles: frozenset[str], digest: bytes, pending: Awaitable[Verified]
    ) -> None:
        try:
            verified = await pending
        except Refused as refused:
            raise self.refuse(refused) from refused
        self._accept(exchange, roles, digest, verified, self._clock())

    def _accept(
        self, exchange: Exchange, roles: frozenset[str], digest: bytes, verified: Verified, now_s: float
    ) -> None:
        if self._validator.keep_s > 0:
            self.tokens.put(digest, verified, now_s + self._validator.keep_s)
        self._let_in(exchange, verified.identity, roles)

    def _let_in(self, exchange: Exchange, identity: Identity, roles: frozenset[str]) -> None:
        # Known to the log even if the role is missing.
        exchange.user_id = identity.user_id
        exchange.roles = identity.roles
        if roles and roles.isdisjoint(identity.role_set):
            raise self.refuse(Refused(Reason.MISSING_ROLE))
        exchange.metadata.extend(identity.metadata)

    def _asker(self, exchange: Exchange, now_s: float) -> Asker:
        """Return who asks. Waiting ends with the request, or, before its deadline is known, with the question."""
        # Identities are added when nobody is asked any more: so far the metadata holds ids.
        return Asker(exchange.deadline_s or now_s + self._timeout_s, now_s, list(exchange.metadata), exchange.trace)

    def _make_validator(
        self, service: UnaryCaller | None, fetch_keys: Fetch | None, wall_clock: Callable[[], float]
    ) -> TokenValidator:
        settings = self._settings
        if settings.jwt is None:
            if service is None:
                raise ValueError("auth needs auth.jwt, or a channel to auth.service_endpoint")
            return TokenService(
                service, timeout_s=self._timeout_s, keep_s=settings.cache_ttl_seconds, clock=self._clock
            )
        verifier = JwtVerifier(settings.jwt, max_token_bytes=settings.max_token_bytes)
        keys = configured_keys(settings.jwt)
        source = ConfiguredKeys(keys) if keys is not None else self._published_keys(settings.jwt, fetch_keys)
        return TokenKeys(verifier, source, wall_clock=wall_clock, clock=self._clock)

    def _published_keys(self, settings: JwtSettings, fetch_keys: Fetch | None) -> JwksSource:
        return JwksSource(
            settings,
            fetch_keys or https_fetch(settings),
            clock=self._clock,
            on_change=lambda newer: self.tokens.keep_keys(newer.fingerprints()),
            on_fetch=self._listener.on_key_fetch,
        )


class _Guard:
    """A policy of one route. Nothing is left to do when the exchange ends."""

    __slots__ = ("_auth",)

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Do nothing."""


class PublicRoute(_Guard):
    """Everybody may call, with or without a token."""

    __slots__ = ()

    def admit(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        """Refuse only what is ambiguous."""
        self._auth.refuse_repeated(exchange)
        return None


class RoleGuard(_Guard):
    """Only callers with one of some roles, fixed in the gateway."""

    __slots__ = ("_roles",)

    def __init__(self, auth: Auth, roles: frozenset[str]) -> None:
        super().__init__(auth)
        self._roles = roles

    def admit(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        """Check the token and its roles."""
        self._auth.refuse_repeated(exchange)
        return self._auth.authenticate(exchange, self._roles, now_s)


class MethodGuard(_Guard):
    """Whoever the backend lets call its method."""

    __slots__ = ("_policy",)

    def __init__(self, auth: Auth, policy: MethodPolicy) -> None:
        super().__init__(auth)
        self._policy = policy

    def admit(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        """Check the token as the backend's policy demands; ask for the policy when it ran out."""
        self._auth.refuse_repeated(exchange)
        policy = self._policy
        if now_s >= policy.decided_until_s:
            return self._auth.decide(exchange, policy, now_s)
        requirement: Requirement = policy.requirement
        if requirement is None:
            return None
        return self._auth.authenticate(exchange, requirement, now_s)


if TYPE_CHECKING:
    _guards: tuple[type[Policy], ...] = (PublicRoute, RoleGuard, MethodGuard)
    _validators: tuple[type[TokenValidator], ...] = (TokenKeys, TokenService)

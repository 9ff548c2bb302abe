"""Cross-origin resource sharing: which pages of other origins may call (Fetch standard, section 3.2)."""

from __future__ import annotations

from typing import Final

from ..config.settings import CorsSettings
from ..model.message import HeaderList, Request, Response

ANY: Final = "*"
_VARY: Final = (b"vary", b"origin")
_PREFLIGHT_VARY: Final = (b"vary", b"origin, access-control-request-method, access-control-request-headers")


class Cors:
    """Answers preflights and says what headers other answers get. Everything is made once, from the settings.

    Origins are compared byte by byte: `null`, another port, a name that ends in an allowed one are other origins.
    """

    def __init__(self, settings: CorsSettings) -> None:
        self._other: HeaderList = []
        """What answers to origins that are not allowed get, and those to nobody's origin."""
        self._allowed: dict[bytes, HeaderList] = {}
        self._preflights: dict[bytes, HeaderList] = {}
        self._any_preflight: HeaderList | None = None
        if not settings.enabled:
            return
        answer, preflight = _answer_fields(settings), _preflight_fields(settings)
        if ANY in settings.allowed_origins:
            # The same for everybody, so that caches need not tell origins apart.
            origin = (b"access-control-allow-origin", b"*")
            self._other = [origin, *answer]
            self._any_preflight = [origin, *preflight]
            return
        # Also for who sent no origin: a cache could hand that answer to a page.
        self._other = [_VARY]
        for name in settings.allowed_origins:
            origin = (b"access-control-allow-origin", name.encode())
            self._allowed[name.encode()] = [origin, _VARY, *answer]
            self._preflights[name.encode()] = [origin, _PREFLIGHT_VARY, *preflight]

    def preflight(self, request: Request) -> Response | None:
        """Return the answer to a preflight of an allowed origin (204), None for any other request.

        Ask for it where the path is known and has no `OPTIONS` of its own. No token can be asked for: browsers send
        preflights without credentials.
        """
        headers = request.headers
        origin = headers.get(b"origin")
        if request.method != "OPTIONS" or origin is None or b"access-control-request-method" not in headers:
            return None
        fields = self._preflights.get(origin, self._any_preflight)
        return Response(204, list(fields)) if fields is not None else None

    def admits(self, request: Request) -> bool:
        """Whether a page may open a WebSocket, for which browsers do not ask first: of an allowed origin, or our own.

        Who sends no origin is no page.
        """
        origin = request.headers.get(b"origin")
        if origin is None or origin in self._allowed or self._any_preflight is not None:
            return True
        return origin.partition(b"://")[2] == request.headers.get(b"host")

    def headers(self, request: Request) -> HeaderList:
        """Return the headers of any other answer, errors included. The list is shared: do not change it."""
        return self._allowed.get(request.headers.get(b"origin", b""), self._other)


def _answer_fields(settings: CorsSettings) -> HeaderList:
    fields = _credentials(settings)
    if settings.expose_headers:
        fields.append((b"access-control-expose-headers", _names(settings.expose_headers)))
    return fields


def _preflight_fields(settings: CorsSettings) -> HeaderList:
    fields = _credentials(settings)
    if settings.allowed_methods:
        fields.append((b"access-control-allow-methods", ", ".join(settings.allowed_methods).encode()))
    if settings.allowed_headers:
        fields.append((b"access-control-allow-headers", _names(settings.allowed_headers)))
    fields.append((b"access-control-max-age", b"%d" % settings.max_age_seconds))
    return fields


def _credentials(settings: CorsSettings) -> HeaderList:
    return [(b"access-control-allow-credentials", b"true")] if settings.allow_credentials else []


def _names(names: list[str]) -> bytes:
    return ", ".join(names).lower().encode()

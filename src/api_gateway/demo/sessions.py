"""The accounts of the example and the tokens they were given, in memory."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOKEN_LIFETIME_S: Final = 3600
MAX_SESSIONS: Final = 10_000
"""Most tokens alive at once; the oldest goes when one more is asked for."""
_TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may log in. The password is only as secret as this file: the example protects nothing."""

    username: str
    password: str
    user_id: str
    roles: tuple[str, ...]


EXAMPLE_ACCOUNTS: Final = (
    Account(username="ada", password="ada-demo", user_id="1", roles=("admin", "user")),  # noqa: S106  printed in the docs
    Account(username="alan", password="alan-demo", user_id="2", roles=("user",)),  # noqa: S106  printed in the docs
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    account: Account
    expires_s: float


class SessionBook:
    """Gives out tokens and knows them again. `now_s` is monotonic."""

    def __init__(self, accounts: Iterable[Account], now_s: Callable[[], float]) -> None:
        self._accounts = {account.username: account for account in accounts}
        self._now_s = now_s
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def log_in(self, username: str, password: str) -> tuple[str, Account] | None:
        """Return a new token and its account; None when name or password are wrong."""
        account = self._accounts.get(username)
        expected = account.password if account else ""
        if not hmac.compare_digest(expected.encode(), password.encode()) or account is None:
            return None
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._sessions[token] = _Session(account=account, expires_s=self._now_s() + TOKEN_LIFETIME_S)
        return token, account

    def account_of(self, token: str) -> Account | None:
        """Return whose token it is; None when it is unknown or expired."""
        session = self._sessions.get(token)
        if session is None:
            return None
        if session.expires_s <= self._now_s():
            del self._sessions[token]
            return None
        return session.account

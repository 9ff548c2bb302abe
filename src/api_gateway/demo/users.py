"""The users of the example, in memory, and who watches them. Knows nothing of gRPC calls."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.timestamp_pb2 import Timestamp

from .gen.user_pb2 import USER_STATUS_ACTIVE, USER_STATUS_INVITED, Address, User, UserEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_USERS: Final = 10_000
"""Most users kept. Whoever plays with the example cannot fill the memory."""
MAX_WATCHER_BACKLOG: Final = 1_000
"""Most changes that wait for one watcher."""
_NS_PER_S: Final = 1_000_000_000


class EmailTakenError(Exception):
    """Another user has this email."""


class DirectoryFullError(Exception):
    """There are `MAX_USERS` users."""


class VersionMismatchError(Exception):
    """The user has changed since the caller looked."""


class PageTokenError(ValueError):
    """A page token that this directory never gave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some users in the order of their creation."""

    users: tuple[User, ...]
    next_token: str
    """Empty on the last page."""
    total: int


class Watcher:
    """Changes on their way to one reader."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[UserEvent] = asyncio.Queue(MAX_WATCHER_BACKLOG)
        self.is_behind = False
        """Whether changes were lost because the reader is too slow."""

    def tell(self, event: UserEvent) -> None:
        """Queue one change, or note that there is no room."""
        try:
            self.events.put_nowait(event)
        except asyncio.QueueFull:
            self.is_behind = True


class UserDirectory:
    """All users. A `User` that went in or out is never changed afterwards: a change makes a new one."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._users: dict[str, User] = {}
        self._ids = itertools.count(1)
        self._watchers: set[Watcher] = set()

    def get(self, user_id: str) -> User | None:
        """Return the user, or None."""
        return self._users.get(user_id)

    def page(self, *, size: int, token: str, is_wanted: Callable[[User], bool]) -> Page:
        """Return up to `size` wanted users after the page that gave `token`. Raises PageTokenError."""
        after = _decode_token(token)
        wanted = [user for user in self._users.values() if is_wanted(user)]
        rest = [user for user in wanted if int(user.id) > after]
        users = tuple(rest[:size])
        next_token = _encode_token(users[-1].id) if len(rest) > size else ""
        return Page(users=users, next_token=next_token, total=len(wanted))

    def create(self, draft: User) -> User:
        """Keep a copy of `draft` with an id, times and version 1. Raises EmailTakenError and DirectoryFullError."""
        if len(self._users) >= MAX_USERS:
            raise DirectoryFullError
        self._check_email(draft.email, owner="")
        user = User()
        user.CopyFrom(draft)
        user.id = str(next(self._ids))
        now = self._now()
        user.created_at.CopyFrom(now)
        user.updated_at.CopyFrom(now)
        user.version = 1
        self._store(user, UserEvent.CREATED)
        return user

    def update(self, user_id: str, change: Callable[[User], None], *, expected_version: int = 0) -> User | None:
        """Apply `change` to a copy and keep it; None when there is no such user.

        Raises VersionMismatchError unless `expected_version` is 0 or the current one, and EmailTakenError; nothing has
        changed then.
        """
        known = self._users.get(user_id)
        if known is None:
            return None
        if expected_version not in (0, known.version):
            raise VersionMismatchError
        user = User()
        user.CopyFrom(known)
        change(user)
        self._check_email(user.email, owner=user_id)
        user.updated_at.CopyFrom(self._now())
        user.version = known.version + 1
        self._store(user, UserEvent.UPDATED)
        return user

    def delete(self, user_id: str) -> bool:
        """Forget a user; False when there is none."""
        user = self._users.pop(user_id, None)
        if user is None:
            return False
        self._tell(UserEvent(kind=UserEvent.DELETED, user=user))
        return True

    def __iter__(self) -> Iterator[User]:
        return iter(tuple(self._users.values()))

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Tell the watcher of every change while the context lasts."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def _store(self, user: User, kind: UserEvent.Kind) -> None:
        self._users[user.id] = user
        self._tell(UserEvent(kind=kind, user=user))

    def _tell(self, event: UserEvent) -> None:
        for watcher in self._watchers:
            watcher.tell(event)

    def _check_email(self, email: str, *, owner: str) -> None:
        folded = email.casefold()
        if any(user.email.casefold() == folded and user.id != owner for user in self._users.values()):
            raise EmailTakenError

    def _now(self) -> Timestamp:
        seconds, nanos = divmod(self._now_ns(), _NS_PER_S)
        return Timestamp(seconds=seconds, nanos=nanos)


def _encode_token(user_id: str) -> str:
    return base64.urlsafe_b64encode(f"after:{user_id}".encode()).decode().rstrip("=")


def _decode_token(token: str) -> int:
    if not token:
        return 0
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise PageTokenError("page token is not base64url") from error
    word, _, number = text.partition(":")
    if word != "after" or not number.isdecimal() or len(number) > 18:
        raise PageTokenError("page token was not given out by this service")
    return int(number)


def example_users() -> tuple[User, ...]:
    """Return the users that the example starts with."""
    return (
        User(
            name="Ada Lovelace",
            email="ada@example.com",
            roles=["admin", "user"],
            status=USER_STATUS_ACTIVE,
            address=Address(street="12 St James's Square", city="London", postal_code="SW1Y 4JH", country_code="GB"),
        ),
        User(
            name="Alan Turing",
            email="alan@example.com",
            roles=["user"],
            status=USER_STATUS_ACTIVE,
            address=Address(street="43 Adlington Road", city="Wilmslow", postal_code="SK9 2BJ", country_code="GB"),
        ),
        User(
            name="Grace Hopper",
            email="grace@example.com",
            roles=["user"],
            status=USER_STATUS_INVITED,
            address=Address(street="1 Navy Yard", city="Arlington", postal_code="22202", country_code="US"),
        ),
    )

"""`api_gateway.demo.UserService`: checks what comes in, asks the directory, and words the refusals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty

from .gen import user_pb2
from .gen.user_pb2 import ListUsersResponse, User, UserEvent, UserStatus
from .refusal import Violation, refuse_because, refuse_invalid, refuse_missing
from .users import DirectoryFullError, EmailTakenError, PageTokenError, UserDirectory, VersionMismatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from google.protobuf.descriptor import ServiceDescriptor

    Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 100
MAX_NAME_CHARS: Final = 100
MAX_EMAIL_CHARS: Final = 254
"""Longest address that mail can carry (RFC 5321 with its erratum 1690)."""
MAX_ROLES: Final = 20
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_ROLE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


class UserService:
    """Users of a `UserDirectory`, over gRPC."""

    descriptor: Final[ServiceDescriptor] = user_pb2.DESCRIPTOR.services_by_name["UserService"]

    def __init__(self, directory: UserDirectory) -> None:
        self._directory = directory

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Context) -> User:  # noqa: N802  named by gRPC
        """Return one user. The id `me` means the caller, as the gateway names it in `x-user-id`."""
        user_id = await _caller_id(context) if request.id == "me" else request.id
        return self._directory.get(user_id) or await refuse_missing(context, "user", user_id)

    async def ListUsers(  # noqa: N802  named by gRPC
        self, request: user_pb2.ListUsersRequest, context: Context
    ) -> ListUsersResponse:
        """Return one page of users."""
        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            await refuse_invalid(context, [Violation("page_size", f"must be between 0 and {MAX_PAGE_SIZE}")])
        text = request.filter.casefold()

        def is_wanted(user: User) -> bool:
            return request.status in (0, user.status) and (
                text in user.name.casefold() or text in user.email.casefold()
            )

        try:
            page = self._directory.page(
                size=request.page_size or DEFAULT_PAGE_SIZE, token=request.page_token, is_wanted=is_wanted
            )
        except PageTokenError as error:
            await refuse_invalid(context, [Violation("page_token", str(error))])
        return ListUsersResponse(users=page.users, next_page_token=page.next_token, total_size=page.total)

    async def CreateUser(  # noqa: N802  named by gRPC
        self, request: user_pb2.CreateUserRequest, context: Context
    ) -> User:
        """Add an active user. Over HTTP the answer is 201 Created, thanks to the metadata `x-http-code`."""
        draft = User(
            name=request.name,
            email=request.email,
            roles=request.roles or ["user"],
            status=UserStatus.USER_STATUS_ACTIVE,
            address=request.address if request.HasField("address") else None,
        )
        await _check(context, draft)
        try:
            user = self._directory.create(draft)
        except EmailTakenError:
            await _refuse_taken_email(context, request.email)
        except DirectoryFullError:
            await refuse_because(
                context, grpc.StatusCode.RESOURCE_EXHAUSTED, "the example keeps no more users", "DIRECTORY_FULL"
            )
        await context.send_initial_metadata((("x-http-code", "201"),))
        return user

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context) -> User:  # noqa: N802  named by gRPC
        """Change what the request names and keep the rest."""
        known = self._directory.get(request.id) or await refuse_missing(context, "user", request.id)
        wanted = User()
        wanted.CopyFrom(known)
        _apply(request, wanted)
        await _check(context, wanted)
        try:
            user = self._directory.update(
                request.id, lambda user: _apply(request, user), expected_version=request.expected_version
            )
        except EmailTakenError:
            await _refuse_taken_email(context, request.email)
        except VersionMismatchError:
            message = f"version is {known.version}, not {request.expected_version}"
            await refuse_because(context, grpc.StatusCode.ABORTED, message, "VERSION_MISMATCH")
        return user or await refuse_missing(context, "user", request.id)

    async def DeleteUser(self, request: user_pb2.DeleteUserRequest, context: Context) -> Empty:  # noqa: N802  named by gRPC
        """Forget one user."""
        if not self._directory.delete(request.id):
            await refuse_missing(context, "user", request.id)
        return Empty()

    async def WatchUsers(  # noqa: N802  named by gRPC
        self, request: user_pb2.WatchUsersRequest, context: Context
    ) -> AsyncIterator[UserEvent]:
        """Send all users, then changes until the caller leaves or falls too far behind."""
        with self._directory.watch() as watcher:
            for user in self._directory:
                yield UserEvent(kind=UserEvent.EXISTING, user=user)
            while request.follow:
                if watcher.is_behind and watcher.events.empty():
                    message = "changes were lost: the watcher reads too slowly"
                    await refuse_because(context, grpc.StatusCode.RESOURCE_EXHAUSTED, message, "WATCHER_TOO_SLOW")
                yield await watcher.events.get()


def _apply(request: user_pb2.UpdateUserRequest, user: User) -> None:
    if request.HasField("name"):
        user.name = request.name
    if request.HasField("email"):
        user.email = request.email
    if request.roles:
        user.roles[:] = request.roles
    if request.status:
        user.status = request.status
    if request.HasField("address"):
        user.address.CopyFrom(request.address)


async def _caller_id(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    if "x-user-id" not in metadata:
        await refuse_because(context, grpc.StatusCode.UNAUTHENTICATED, "nobody is logged in", "NO_CALLER")
    return str(metadata["x-user-id"])


async def _check(context: Context, user: User) -> None:
    violations = list(_violations(user))
    if violations:
        await refuse_invalid(context, violations)


def _violations(user: User) -> Iterable[Violation]:
    if not user.name.strip() or len(user.name) > MAX_NAME_CHARS:
        yield Violation("name", f"must have 1 to {MAX_NAME_CHARS} characters")
    if not _EMAIL.fullmatch(user.email) or len(user.email) > MAX_EMAIL_CHARS:
        yield Violation("email", "must be an email address, for example ada@example.com")
    if len(user.roles) > MAX_ROLES:
        yield Violation("roles", f"must be at most {MAX_ROLES}")
    for index, role in enumerate(user.roles[:MAX_ROLES]):
        if not _ROLE.fullmatch(role):
            yield Violation(f"roles[{index}]", "must be a lower-case word of at most 32 characters")
    if user.status not in UserStatus.values():
        yield Violation("status", "must be a known status")
    if user.HasField("address") and not _COUNTRY.fullmatch(user.address.country_code):
        yield Violation("address.country_code", "must be two capital letters (ISO 3166-1 alpha-2)")


async def _refuse_taken_email(context: Context, email: str) -> NoReturn:
    await refuse_because(
        context, grpc.StatusCode.ALREADY_EXISTS, f"email {email!r} belongs to another user", "EMAIL_TAKEN"
    )

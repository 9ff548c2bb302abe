"""The curl lines that the demo prints: each works as it stands, one after the other, in a fresh demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ADA: Final = '{"username": "ada", "password": "ada-demo"}'
ALAN: Final = '{"username": "alan", "password": "alan-demo"}'
LOGINS_PER_MINUTE: Final = 10
"""Limit of the one route that has its own in the demo."""
FAILURES: Final = 3
"""Failures in a row that open the user service's breaker in the demo."""
OPEN_S: Final = 5
"""How long it stays open then, and how long the outage lasts that opens it."""
_MARY: Final = '{"name": "Mary Somerville", "email": "mary@example.com"}'
_MARY_ID: Final = 4
"""The example starts with three users, so the first new one is the fourth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One thing to try."""

    title: str
    command: str
    """For a POSIX shell."""
    status: int
    """HTTP status of the answer."""


def tour(url: str, *, with_auth: bool) -> Sequence[Stop]:
    """Return what to try with the demo's gateway at `url`."""
    stops = (*_guarded(url), *_limited(url)) if with_auth else (*_open(url), *_limited(url), *_broken(url))
    return (*stops, *_operators(url))


def lines(stops: Sequence[Stop]) -> Sequence[str]:
    """Return the lines to print: what it shows as a shell comment, then the command."""
    return [line for stop in stops for line in (f"# {stop.title} ({stop.status})", stop.command)]


def _open(url: str) -> Sequence[Stop]:
    mary = f"{url}/api/users/{_MARY_ID}"
    return (
        Stop(title="create a user", command=f"curl -i {url}/api/users -d '{_MARY}'", status=201),
        Stop(title="get it", command=f"curl -i {mary}", status=200),
        Stop(title="list active users, two a page", command=_list(url), status=200),
        Stop(title="change it", command=f'curl -i -X PUT {mary} -d \'{{"name": "Mary Greig"}}\'', status=200),
        Stop(title="delete it", command=f"curl -i -X DELETE {mary}", status=200),
        Stop(title="an error: it is gone", command=f"curl -i {mary}", status=404),
        Stop(title="an error: a wrong type", command=f"curl -i {url}/api/users -d '{{\"name\": 7}}'", status=400),
        Stop(title="log in: a method with an annotation of its own", command=_login(url, ADA), status=200),
    )


def _guarded(url: str) -> Sequence[Stop]:
    bearer = '-H "Authorization: Bearer $TOKEN"'
    delete = f"curl -i -X DELETE {url}/api/users/3 {bearer}"
    return (
        Stop(title="without a token: refused", command=f"curl -i {url}/api/users/me", status=401),
        Stop(title="log in as ada, who is an admin", command=_login(url, ADA), status=200),
        Stop(
            title="keep her token", command=f"{_keep_token(url, ADA)}\ncurl -i {url}/api/users/me {bearer}", status=200
        ),
        Stop(title="list active users, two a page", command=f"{_list(url)} {bearer}", status=200),
        Stop(title="delete, which needs the role admin: ada may", command=delete, status=200),
        Stop(title="alan may not", command=f"{_keep_token(url, ALAN)}\n{delete}", status=403),
    )


def _limited(url: str) -> Sequence[Stop]:
    logins = f"for i in $(seq {LOGINS_PER_MINUTE}); do curl -s -o /dev/null {url}/api/login -d '{ALAN}'; done"
    title = f"{LOGINS_PER_MINUTE} logins a minute are allowed, one more is not"
    return (Stop(title=title, command=f"{logins}\n{_login(url, ALAN)}", status=429),)


def _broken(url: str) -> Sequence[Stop]:
    ada = f"curl -i {url}/api/users/1"
    failed = (
        Stop(title=f"failure {number} of {FAILURES} that open its breaker", command=ada, status=503)
        for number in range(1, FAILURES + 1)
    )
    outage = f"curl -i {url}/api/outage -d '{{\"seconds\": {OPEN_S}}}'"
    return (
        Stop(title=f"let the user service fail for {OPEN_S} seconds", command=outage, status=200),
        *failed,
        Stop(title="the gateway no longer calls it: CIRCUIT_OPEN", command=ada, status=503),
        Stop(title=f"{OPEN_S} seconds later a trial passes", command=f"sleep {OPEN_S}; {ada}", status=200),
        Stop(title="a second one closes the breaker", command=ada, status=200),
    )


def _operators(url: str) -> Sequence[Stop]:
    return (
        Stop(title="how it is", command=f"curl -i {url}/health", status=200),
        Stop(title="what was counted", command=f"curl -i {url}/metrics", status=200),
    )


def _list(url: str) -> str:
    return f"curl -i '{url}/api/users?status=USER_STATUS_ACTIVE&page_size=2'"


def _login(url: str, account: str) -> str:
    return f"curl -i {url}/api/login -d '{account}'"


def _keep_token(url: str, account: str) -> str:
    return f"""TOKEN=$(curl -s {url}/api/login -d '{account}' | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')"""

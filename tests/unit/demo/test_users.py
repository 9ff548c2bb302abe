"""The user directory by itself: bounds and promises that a client cannot easily reach."""

from __future__ import annotations

import itertools

import pytest

from api_gateway.demo import users as module
from api_gateway.demo.gen.user_pb2 import User
from api_gateway.demo.users import DirectoryFullError, EmailTakenError, UserDirectory, VersionMismatchError


def directory(count: int = 0) -> UserDirectory:
    clock = itertools.count(1_000_000_001)
    made = UserDirectory(lambda: next(clock))
    for index in range(count):
        made.create(User(name=f"user {index}", email=f"{index}@example.com"))
    return made


def rename(user: User) -> None:
    user.name = "renamed"


def test_times_come_from_the_clock_with_nanoseconds() -> None:
    user = directory().create(User(email="a@example.com"))
    assert (user.created_at.seconds, user.created_at.nanos) == (1, 1)
    assert user.updated_at == user.created_at


def test_a_full_directory_refuses_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USERS", 2)
    with pytest.raises(DirectoryFullError):
        directory(3)


def test_a_user_once_returned_never_changes() -> None:
    users = directory(1)
    before = users.get("1")
    after = users.update("1", rename)
    assert before is not None
    assert after is not None
    assert (before.name, after.name) == ("user 0", "renamed")


def test_a_refused_update_leaves_everything_as_it_was() -> None:
    users = directory(2)
    before = users.get("1")

    def take_email(user: User) -> None:
        user.email = "1@EXAMPLE.com"

    with pytest.raises(EmailTakenError):
        users.update("1", take_email)
    with pytest.raises(VersionMismatchError):
        users.update("1", rename, expected_version=2)
    assert users.get("1") == before


def test_an_id_is_never_given_out_twice() -> None:
    users = directory(2)
    assert users.delete("2")
    assert users.create(User(email="new@example.com")).id == "3"
    assert not users.delete("2")


def test_pages_stay_right_when_users_go_in_between() -> None:
    users = directory(5)
    first = users.page(size=2, token="", is_wanted=lambda _: True)
    users.delete("2")
    users.delete("3")
    second = users.page(size=2, token=first.next_token, is_wanted=lambda _: True)
    assert [user.id for user in second.users] == ["4", "5"]
    assert second.next_token == ""


def test_a_watcher_that_does_not_read_is_bounded_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WATCHER_BACKLOG", 2)
    users = directory()
    with users.watch() as watcher:
        for index in range(3):
            users.create(User(email=f"{index}@example.com"))
        assert watcher.is_behind
        assert watcher.events.qsize() == 2


def test_a_watcher_that_left_is_told_nothing() -> None:
    users = directory()
    with users.watch() as watcher:
        pass
    users.create(User(email="a@example.com"))
    assert watcher.events.empty()

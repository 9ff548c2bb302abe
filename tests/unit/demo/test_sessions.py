"""Tokens of the example: given out, known again, forgotten."""

from __future__ import annotations

import pytest

from api_gateway.demo import sessions as module
from api_gateway.demo.sessions import EXAMPLE_ACCOUNTS, TOKEN_LIFETIME_S, SessionBook


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def token_of(book: SessionBook) -> str:
    entry = book.log_in("ada", "ada-demo")
    assert entry is not None
    return entry[0]


def test_a_token_leads_back_to_its_account() -> None:
    book = SessionBook(EXAMPLE_ACCOUNTS, Clock())
    assert book.account_of(token_of(book)) == EXAMPLE_ACCOUNTS[0]
    assert token_of(book) != token_of(book)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        pytest.param("ada", "wrong", id="wrong_password"),
        pytest.param("ada", "", id="no_password"),
        pytest.param("eve", "ada-demo", id="unknown_name"),
        pytest.param("eve", "", id="unknown_name_no_password"),
        pytest.param("ada", "ada-démo", id="not_ascii"),
    ],
)
def test_wrong_credentials_get_nothing(username: str, password: str) -> None:
    assert SessionBook(EXAMPLE_ACCOUNTS, Clock()).log_in(username, password) is None


def test_a_token_ends_with_its_lifetime() -> None:
    clock = Clock()
    book = SessionBook(EXAMPLE_ACCOUNTS, clock)
    token = token_of(book)
    clock.now_s = TOKEN_LIFETIME_S - 0.001
    assert book.account_of(token) is not None
    clock.now_s = TOKEN_LIFETIME_S
    assert book.account_of(token) is None


def test_sessions_are_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    book = SessionBook(EXAMPLE_ACCOUNTS, Clock())
    first, second, third = token_of(book), token_of(book), token_of(book)
    assert book.account_of(first) is None
    assert book.account_of(second) is not None
    assert book.account_of(third) is not None

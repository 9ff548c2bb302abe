"""What cannot be had is said in words that help."""

from __future__ import annotations

import pytest

from tests.support.backends import BackendMissingError, install_node_backend


def test_a_missing_node_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BackendMissingError, match=r"the Node backend cannot run: node is missing: .*Node\.js 20"):
        install_node_backend()

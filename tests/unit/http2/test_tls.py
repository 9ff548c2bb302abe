"""Contexts for TLS to backends. Handshakes are in `tests/wire/test_grpc_tls.py`."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from api_gateway.http2.tls import TlsError, client_context
from tests.support.authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("with_ca", [True, False], ids=["own authority", "the system's"])
def test_everything_is_verified(authority: Authority, with_ca: bool) -> None:
    """G60: name and chain, TLS 1.2 at least."""
    context = client_context(authority.ca if with_ca else None, None, None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_named_authority_replaces_the_systems(authority: Authority) -> None:
    """G60: no public CA can stand in for a private one."""
    assert len(client_context(authority.ca, None, None).get_ca_certs()) == 1


def test_a_key_may_be_in_the_file_of_its_certificate(authority: Authority, tmp_path: Path) -> None:
    """As many tools write them."""
    identity = authority.issue("gateway.test")
    both = tmp_path / "both.pem"
    both.write_bytes(identity.key.read_bytes() + identity.certificate.read_bytes())
    client_context(authority.ca, both, None)


def test_an_encrypted_key_is_an_error_and_no_question(authority: Authority) -> None:
    """OpenSSL would ask the terminal for a password, and the whole gateway would wait for the answer."""
    identity = authority.issue("gateway.test", password=b"secret")
    with pytest.raises(TlsError, match="cannot use the TLS files"):
        client_context(authority.ca, identity.certificate, identity.key)


def test_errors_name_the_files(tmp_path: Path) -> None:
    """The cause is kept."""
    missing = tmp_path / "missing.pem"
    with pytest.raises(TlsError, match=r"missing\.pem") as caught:
        client_context(missing, None, None)
    assert isinstance(caught.value.__cause__, OSError)

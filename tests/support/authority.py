"""A throw-away certificate authority that signs what a test asks for, good or bad."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path

    def server_context(self, *, alpn: tuple[str, ...] = ("h2",), client_ca: Path | None = None) -> ssl.SSLContext:
        """Return what a server of this identity needs; with `client_ca` it demands certificates signed there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context


class Authority:
    """One authority; what it signs is written into its folder."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._count = 0
        certificate = (
            self._builder(name, self._key.public_key(), days=(-1, 1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(is_authority=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = self._write("ca", certificate.public_bytes(serialization.Encoding.PEM))
        """The authority's own certificate."""

    def issue(self, *names: str, days: tuple[float, float] = (-1, 1), password: bytes | None = None) -> Identity:
        """Sign a certificate for DNS names and addresses, valid between two days counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(names[0], key.public_key(), days=days)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(is_authority=False), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password)
        pem = serialization.Encoding.PEM
        return Identity(
            certificate=self._write("certificate", certificate.public_bytes(pem)),
            key=self._write("key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)),
        )

    def _builder(
        self, subject: str, key: ec.EllipticCurvePublicKey, *, days: tuple[float, float]
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_common_name(subject))
            .issuer_name(_common_name(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + _DAY * days[0])
            .not_valid_after(now + _DAY * days[1])
        )

    def _write(self, kind: str, content: bytes) -> Path:
        self._count += 1
        path = self._folder / f"{self._name} {kind} {self._count}.pem"
        path.write_bytes(content)
        return path


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )

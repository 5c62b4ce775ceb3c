"""Certificates for tests: a CA of our own, and what it signs."""

import ipaddress
import ssl
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from bus.credentials import tls_context
from wire.clock import utcnow

LIFE = timedelta(days=2)


class Signed(Struct, frozen=True):
    """A certificate and its key, as files."""

    ca: Path
    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        return tls_context(self.ca, self.cert, self.key)


class Authority(Struct, frozen=True):
    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def server(self) -> Signed:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return self._sign("server", address, ExtendedKeyUsageOID.SERVER_AUTH, utcnow())

    def client(self, uri: str, now: datetime | None = None) -> Signed:
        """`now` lets a test make one that has expired."""
        name = x509.UniformResourceIdentifier(uri)
        return self._sign(uri.rpartition("/")[2], name, ExtendedKeyUsageOID.CLIENT_AUTH, now or utcnow())

    def _sign(self, stem: str, name: x509.GeneralName, use: x509.ObjectIdentifier, now: datetime) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(stem, self.certificate.subject, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        signed = Signed(self.ca, self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        signed.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        signed.key.write_bytes(_pem(key))
        return signed


def new_authority(folder: Path) -> Authority:
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    certificate = (
        _builder("test CA", name, key.public_key(), utcnow())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_may_sign(), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = Authority(folder, key, certificate)
    authority.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return authority


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
    )


def _may_sign() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

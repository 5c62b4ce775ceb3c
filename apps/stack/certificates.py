"""The fleet's certificates: its CA, and what it signs for this stack's listeners and the control plane."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from stack.hosts import is_wildcard
from stack.paths import write_private

CA_DAYS = 3650
LEAF_DAYS = 365
BACKDATED = timedelta(minutes=5)
"""Clocks of machines differ."""
TRUST_DOMAIN = "seedlift"


class Pair(Struct, frozen=True):
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Names(Struct, frozen=True):
    """Whom a certificate speaks for: hosts of a server, or the URI of a client."""

    hosts: tuple[str, ...] = ()
    uri: str | None = None


def pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def make_ca(files: Pair, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Seedlift fleet CA")])
    certificate = (
        _builder(name, name, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(files, key, certificate)


def keep_fresh(files: Pair, ca: Pair, names: Names, now: datetime) -> bool:
    """Issues if there is none, if less than a third of its life is left, or if it speaks for others. True if it did."""
    if files.cert.exists() and files.key.exists() and _still_good(files, ca, names, now):
        return False
    issue(files, ca, names, now)
    return True


def issue(files: Pair, ca: Pair, names: Names, now: datetime, days: int = LEAF_DAYS) -> None:
    ca_certificate = x509.load_pem_x509_certificate(ca.cert.read_bytes())
    ca_key = serialization.load_pem_private_key(ca.key.read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, files.cert.stem)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names.uri is None else ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = (
        _builder(subject, ca_certificate.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(files, key, certificate)


def server_names(host: str) -> Names:
    hosts = ["127.0.0.1", "localhost"]
    if host not in hosts and not is_wildcard(host):
        hosts.append(host)
    return Names(hosts=tuple(hosts))


def control_names() -> Names:
    return Names(uri=f"spiffe://{TRUST_DOMAIN}/control")


def _still_good(files: Pair, ca: Pair, names: Names, now: datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    ca_certificate = x509.load_pem_x509_certificate(ca.cert.read_bytes())
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        ends - now > (ends - begins) / 3
        and key.public_key() == certificate.public_key()  # a power cut between the two files
        and certificate.issuer == ca_certificate.subject
        and list(said) == _alternative_names(names)
    )


def _alternative_names(names: Names) -> list[x509.GeneralName]:
    if names.uri is not None:
        return [x509.UniformResourceIdentifier(names.uri)]
    return [_host_name(host) for host in names.hosts]


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(files: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """The key first: a certificate that is there has its key."""
    write_private(
        files.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    write_private(files.cert, certificate.public_bytes(serialization.Encoding.PEM))

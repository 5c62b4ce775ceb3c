"""The fleet CA: signs agents' certificates, and says who shows one. Identity is a URI SAN, never a header."""

import datetime as dt
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from control.config import Settings
from control.errors import BadInput
from wire.ids import AgentId

CLOCK_SKEW = dt.timedelta(minutes=5)
"""The agent's clock may be behind ours."""


class Authority(Struct, frozen=True):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    trust_domain: str

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


class Signed(Struct, frozen=True):
    pem: str
    serial: str
    until: dt.datetime


class Shown(Struct, frozen=True):
    """What a certificate says of who shows it; TLS has checked who signed it, and when it ends."""

    agent: AgentId
    serial: str


def load(settings: Settings) -> Authority:
    key = serialization.load_pem_private_key(settings.ca_key_file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{settings.ca_key_file} holds no EC key")
    certificate = x509.load_pem_x509_certificate(settings.ca_cert_file.read_bytes())
    return Authority(certificate, key, settings.trust_domain)


def sign(authority: Authority, csr_pem: str, agent: AgentId, now: dt.datetime, life: dt.timedelta) -> Signed:
    """Of the request only the key is taken: name, extensions and dates are ours."""
    public_key = _key_of(csr_pem)
    serial, until = x509.random_serial_number(), now + life
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"agent {agent}")])
    identity = x509.UniformResourceIdentifier(f"{_prefix(authority.trust_domain)}{agent}")
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([identity]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return Signed(pem, serial_text(serial), certificate.not_valid_after_utc)


def shown(der: bytes, trust_domain: str) -> Shown | None:
    """None: it is of our CA, but no agent's."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(_prefix(trust_domain)):
        return None
    try:
        agent = UUID(uris[0].removeprefix(_prefix(trust_domain)))
    except ValueError:
        return None
    return Shown(AgentId(agent), serial_text(certificate.serial_number))


def ends(settings: Settings) -> dict[str, dt.datetime]:
    """When what this process itself was given is no longer good."""
    files = {"ca": settings.ca_cert_file, "fleet": settings.fleet_cert_file, "control": settings.control_cert_file}
    return {
        whose: x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc for whose, file in files.items()
    }


def serial_text(serial: int) -> str:
    return f"{serial:x}"


def _key_of(csr_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        genuine = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        raise BadInput("This is no certificate request in PEM.", code="bad_csr") from None
    if not genuine or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput("Send a certificate request of an EC P-256 key, signed by it.", code="bad_csr")
    return key


def _prefix(trust_domain: str) -> str:
    return f"spiffe://{trust_domain}/agent/"

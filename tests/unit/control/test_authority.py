"""The fleet CA: what it signs, and whom it believes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.errors import BadInput
from control.fleet import authority
from control.fleet.authority import Authority
from tests.support.certs import new_authority
from wire.ids import AgentId, new_id

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LIFE = timedelta(days=30)
DOMAIN = "seedlift"


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    made = new_authority(tmp_path)
    return Authority(made.certificate, made.key, DOMAIN)


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "root") -> str:
    """Asks for far more than it should get."""
    wanted = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}/control")])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(wanted, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


def signed_by(ca: Authority, agent: AgentId) -> tuple[x509.Certificate, authority.Signed]:
    signed = authority.sign(ca, csr(ec.generate_private_key(ec.SECP256R1())), agent, NOW, LIFE)
    return x509.load_pem_x509_certificate(signed.pem.encode()), signed


def test_a_certificate_says_who_and_how_long_and_takes_nothing_else_from_the_request(ca: Authority) -> None:
    agent = AgentId(new_id())
    certificate, signed = signed_by(ca, agent)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.subject.rfc4514_string() == f"CN=agent {agent}"
    assert signed.until == certificate.not_valid_after_utc == NOW + timedelta(days=30)
    certificate.verify_directly_issued_by(ca.certificate)
    shown = authority.shown(certificate.public_bytes(serialization.Encoding.DER), DOMAIN)
    assert shown == authority.Shown(agent, signed.serial)


def test_another_domains_agent_is_nobody(ca: Authority) -> None:
    certificate, _ = signed_by(ca, AgentId(new_id()))
    assert authority.shown(certificate.public_bytes(serialization.Encoding.DER), "elsewhere") is None


def test_only_requests_of_p256_keys_are_signed(ca: Authority) -> None:
    p384, weak = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    for pem in (
        csr(p384),
        csr(weak),
        "",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
    ):
        with pytest.raises(BadInput) as refused:
            authority.sign(ca, pem, AgentId(new_id()), NOW, LIFE)
        assert refused.value.code == "bad_csr"


def test_a_request_that_was_changed_after_signing_is_refused(ca: Authority) -> None:
    der = x509.load_pem_x509_csr(csr(ec.generate_private_key(ec.SECP256R1())).encode()).public_bytes(
        serialization.Encoding.DER
    )
    changed = x509.load_der_x509_csr(der.replace(b"root", b"toor")).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(BadInput):
        authority.sign(ca, changed.decode(), AgentId(new_id()), NOW, LIFE)

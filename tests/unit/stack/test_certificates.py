"""Certificates: who vouches for whom, and when they are renewed."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from stack import certificates
from stack.certificates import Names, Pair, pair
from wire.clock import utcnow

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SERVER = certificates.server_names("127.0.0.1")


@pytest.fixture
def ca(tmp_path: Path) -> Pair:
    files = pair(tmp_path, "ca")
    certificates.make_ca(files, utcnow())
    return files


def shake_hands(ca: Pair, server: Pair, client: Pair | None) -> str:
    """Over a socket pair, mutual TLS as our listeners do it; gives the client's URI as the server saw it."""
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca.cert))
    here.load_cert_chain(server.cert, server.key)
    here.verify_mode = ssl.CERT_REQUIRED
    there = ssl.create_default_context(cafile=str(ca.cert))
    if client is not None:
        there.load_cert_chain(client.cert, client.key)
    ours, theirs = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    accepting = here.wrap_bio(*ours, server_side=True)
    calling = there.wrap_bio(*theirs, server_hostname="127.0.0.1")
    for _ in range(10):
        for side, mine, other in ((calling, theirs, ours), (accepting, ours, theirs)):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            other[0].write(mine[1].read())
    seen = accepting.getpeercert()
    assert seen is not None
    return str(dict(seen["subjectAltName"])["URI"])  # type: ignore[arg-type]


def test_a_server_and_a_client_of_the_same_ca_believe_each_other(tmp_path: Path, ca: Pair) -> None:
    server, client = pair(tmp_path, "server"), pair(tmp_path, "client")
    certificates.issue(server, ca, SERVER, utcnow())
    certificates.issue(client, ca, certificates.control_names(), utcnow())
    assert shake_hands(ca, server, client) == "spiffe://seedlift/control"


def test_a_client_of_another_ca_is_refused(tmp_path: Path, ca: Pair) -> None:
    (tmp_path / "other").mkdir()
    other = pair(tmp_path / "other", "ca")
    certificates.make_ca(other, utcnow())
    server, client = pair(tmp_path, "server"), pair(tmp_path, "client")
    certificates.issue(server, ca, SERVER, utcnow())
    certificates.issue(client, other, certificates.control_names(), utcnow())
    with pytest.raises(ssl.SSLError):
        shake_hands(ca, server, client)


def test_a_client_without_a_certificate_is_refused(tmp_path: Path, ca: Pair) -> None:
    server = pair(tmp_path, "server")
    certificates.issue(server, ca, SERVER, utcnow())
    with pytest.raises(ssl.SSLError):
        shake_hands(ca, server, None)


@pytest.mark.parametrize(("days_left", "renewed"), [(365, False), (200, False), (100, True), (-1, True)])
def test_it_is_renewed_when_less_than_a_third_of_its_life_is_left(
    tmp_path: Path, ca: Pair, days_left: int, renewed: bool
) -> None:
    server = pair(tmp_path, "server")
    certificates.issue(server, ca, SERVER, NOW)
    now = NOW + timedelta(days=certificates.LEAF_DAYS - days_left)
    assert certificates.keep_fresh(server, ca, SERVER, now) is renewed


def test_it_is_issued_anew_for_another_host(tmp_path: Path, ca: Pair) -> None:
    server = pair(tmp_path, "server")
    assert certificates.keep_fresh(server, ca, SERVER, NOW)
    names = certificates.server_names("seedlift.example")
    assert certificates.keep_fresh(server, ca, names, NOW)
    certificate = x509.load_pem_x509_certificate(server.cert.read_bytes())
    said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert said.get_values_for_type(x509.DNSName) == ["localhost", "seedlift.example"]


def test_a_power_cut_between_key_and_certificate_is_seen(tmp_path: Path, ca: Pair) -> None:
    server, other = pair(tmp_path, "server"), pair(tmp_path, "other")
    certificates.issue(server, ca, SERVER, NOW)
    certificates.issue(other, ca, Names(uri="spiffe://seedlift/x"), NOW)
    other.key.replace(server.key)
    assert certificates.keep_fresh(server, ca, SERVER, NOW)

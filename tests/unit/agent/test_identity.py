"""An identity is whole and usable, or the agent says what to do."""

import shutil
import ssl
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.identity import Identity, NotEnrolled, ask_for_next, folder_of, keep_next, load, read_token
from bus.jwt import new_seed
from control.fleet.authority import Authority, sign
from tests.support import certs
from wire.clock import utcnow
from wire.ids import new_id
from wire.messages import Renewed

FILES = ("agent.json", "ca.pem", "certificate.pem", "key.pem", "nats.seed")


LIFE = timedelta(days=1)


@pytest.fixture
def made(tmp_path: Path) -> certs.Authority:
    return certs.new_authority(tmp_path / "ca")


@pytest.fixture
def ca(made: certs.Authority) -> Authority:
    return Authority(made.certificate, made.key, "test")


@pytest.fixture
def agent_dir(tmp_path: Path, made: certs.Authority) -> Path:
    """With an identity as `enrol` leaves it."""
    signed = made.client("spiffe://test/agent/1")
    folder = folder_of(tmp_path)
    folder.mkdir()
    card = {"agent": str(new_id()), "pool": "p", "fleet_url": "https://f", "nats_url": "tls://n"}
    (folder / "agent.json").write_bytes(msgspec.json.encode(card))
    (folder / "nats.seed").write_text(new_seed("user"))
    for source, name in ((signed.ca, "ca.pem"), (signed.cert, "certificate.pem"), (signed.key, "key.pem")):
        (folder / name).write_bytes(source.read_bytes())
    return tmp_path


def test_a_whole_identity_is_read_back(agent_dir: Path) -> None:
    assert load(agent_dir).pool == "p"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 20])
def test_a_torn_file_says_to_enrol_again(agent_dir: Path, name: str, left: int) -> None:
    file = folder_of(agent_dir) / name
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(NotEnrolled, match="enrol again"):
        load(agent_dir)


@pytest.mark.parametrize("name", [name for name in FILES if name != "agent.json"])
def test_a_missing_file_says_to_enrol_again(agent_dir: Path, name: str) -> None:
    (folder_of(agent_dir) / name).unlink()
    with pytest.raises(NotEnrolled, match="enrol again"):
        load(agent_dir)


def test_an_enrolment_that_a_crash_cut_short_is_none(agent_dir: Path) -> None:
    """The card is written last."""
    (folder_of(agent_dir) / "agent.json").unlink()
    with pytest.raises(NotEnrolled, match="holds no identity"):
        load(agent_dir)


def renewed_once(agent_dir: Path, ca: Authority) -> Identity:
    """As the fleet listener answers: a certificate of the key in the request."""
    identity = load(agent_dir)
    key, asked = ask_for_next(identity)
    signed = sign(ca, asked.csr_pem, identity.agent, utcnow(), LIFE)
    return keep_next(identity, key, Renewed(signed.pem))


def test_the_newest_certificate_is_shown_after_a_restart(agent_dir: Path, ca: Authority) -> None:
    before = load(agent_dir).pair
    first, second = renewed_once(agent_dir, ca), renewed_once(agent_dir, ca)
    assert before.certificate.exists()
    assert load(agent_dir) == second
    assert second.until() >= first.until()
    assert second.pair.certificate.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [0, 20, 700, 900])
def test_of_a_torn_renewal_the_one_before_is_shown(agent_dir: Path, ca: Authority, left: int) -> None:
    old = load(agent_dir).pair
    for before in (old.certificate, folder_of(agent_dir) / "renewed.old.pem"):
        newest = renewed_once(agent_dir, ca).pair.certificate
        newest.write_bytes(newest.read_bytes()[:left])
        assert load(agent_dir).pair.certificate == before
        newest.unlink()
        renewed_once(agent_dir, ca)
    (folder_of(agent_dir) / "renewing.pem").write_bytes(b"half")
    assert load(agent_dir).pair.certificate == folder_of(agent_dir) / "renewed.pem"


def test_a_certificate_of_another_key_is_not_kept(agent_dir: Path, ca: Authority) -> None:
    identity = load(agent_dir)
    (_, asked), (other, _) = ask_for_next(identity), ask_for_next(identity)
    signed = sign(ca, asked.csr_pem, identity.agent, utcnow(), LIFE)
    with pytest.raises(ssl.SSLError):
        keep_next(identity, other, Renewed(signed.pem))
    assert load(agent_dir) == identity


@pytest.mark.parametrize("swapped", [False, True])
def test_an_enrolment_in_anothers_place_that_a_crash_cut_short_is_finished(agent_dir: Path, swapped: bool) -> None:
    """It is made beside, then takes the place of the old one."""
    folder = folder_of(agent_dir)
    shutil.copytree(folder, folder.with_name("identity.new"))
    if swapped:
        folder.rename(folder.with_name("identity.old"))
    assert load(agent_dir).pool == "p"
    assert folder.exists()


@pytest.mark.parametrize("token", ["", "x", "e30", "!!!!", "ÿ"])
def test_what_is_no_token_is_said_to_be_none(token: str) -> None:
    with pytest.raises(NotEnrolled, match="no enrolment token"):
        read_token(token)

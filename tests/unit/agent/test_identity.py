"""An identity is whole and usable, or the agent says what to do."""

from pathlib import Path

import msgspec
import pytest

from agent.identity import NotEnrolled, folder_of, load, read_token
from bus.jwt import new_seed
from tests.support.certs import new_authority
from wire.ids import new_id

FILES = ("agent.json", "ca.pem", "certificate.pem", "key.pem", "nats.seed")


@pytest.fixture
def agent_dir(tmp_path: Path) -> Path:
    """With an identity as `enrol` leaves it."""
    signed = new_authority(tmp_path / "ca").client("spiffe://test/agent/1")
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


@pytest.mark.parametrize("token", ["", "x", "e30", "!!!!", "ÿ"])
def test_what_is_no_token_is_said_to_be_none(token: str) -> None:
    with pytest.raises(NotEnrolled, match="no enrolment token"):
        read_token(token)

"""Every child gets exactly what it knows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.config import Settings as AgentSettings
from control.config import Settings as ControlSettings
from stack import environment, ports, programs, secrets
from stack.config import Settings
from stack.data import Data
from stack.errors import CannotStart
from stack.process import Command
from wire.settings import read

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def stack(tmp_path: Path, host: str = "127.0.0.1", sets: str = "", *, demo: bool = False) -> programs.Stack:
    settings = Settings(data=tmp_path, host=host, sets=sets, demo=demo)
    known = secrets.opened(tmp_path / "secrets", host, NOW)
    return programs.describe(settings, Data(tmp_path), ports.row(9000), known)


def control(described: programs.Stack) -> dict[str, Command]:
    return {verb: programs.control(described, verb) for verb in ("api", "work")} | {
        "migrate": programs.migrate(described)
    }


@pytest.mark.parametrize("program", ["api", "work", "migrate"])
def test_the_control_plane_knows_every_setting_it_is_given(tmp_path: Path, program: str) -> None:
    settings = read(ControlSettings, control(stack(tmp_path))[program].env)
    assert settings.store_url == "http://127.0.0.1:9003"
    assert settings.nats_keys_file.exists()
    assert settings.ca_cert_file.exists()
    assert [len(secret) for secret in settings.secrets] == [32]


def test_the_owner_of_the_tables_is_known_only_where_tables_are_made(tmp_path: Path) -> None:
    programs_of_control = control(stack(tmp_path)).items()
    owners = {name for name, command in programs_of_control if "SEEDLIFT_OWNER_DATABASE_URL" in command.env}
    assert owners == {"migrate"}


def test_an_agent_knows_every_setting_it_is_given_and_lets_nobody_in(tmp_path: Path) -> None:
    settings = read(AgentSettings, programs.agent(stack(tmp_path), 1).env)
    assert settings.agent_dir == tmp_path / "agents" / "1"
    assert not settings.agent_incoming
    assert settings.agent_listen.startswith("0.0.0.0:")


def test_nothing_of_ours_leaks_into_a_child() -> None:
    given = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "SEEDLIFT_URL": "y", "PGPASSWORD": "z"}
    assert environment.clean(given) == {"PATH": "/bin", "LANG": "C.UTF-8"}


def test_only_the_demos_pool_may_talk_to_the_demos_swarm(tmp_path: Path) -> None:
    plain = read(ControlSettings, programs.control(stack(tmp_path), "api").env)
    demo = read(ControlSettings, programs.control(stack(tmp_path, demo=True), "api").env)
    assert (plain.pool_allow, demo.pool_allow) == ("", "default=127.77.0.1/32")


def test_an_override_reaches_its_program_alone(tmp_path: Path) -> None:
    described = stack(tmp_path, sets="control.time_scale=4\nagent.agent_slots=3")
    assert read(ControlSettings, programs.control(described, "api").env).time_scale == 4
    agent = read(AgentSettings, programs.agent(described, 1).env)
    assert (agent.time_scale, agent.agent_slots) == (1, 3)


@pytest.mark.parametrize("line", ["time_scale=4", "control.time_scale", "store.x=1", "control.=1"])
def test_an_override_that_names_no_program_is_refused(line: str) -> None:
    with pytest.raises(CannotStart, match=r"write control\.NAME=VALUE"):
        environment.overrides(line, "control")


def test_links_are_signed_for_the_address_that_others_see(tmp_path: Path) -> None:
    described = stack(tmp_path, host="192.0.2.7")
    settings = read(ControlSettings, programs.control(described, "api").env)
    assert settings.store_public_url == "http://192.0.2.7:9003"
    assert settings.public_url == "http://192.0.2.7:9000"
    assert settings.fleet_url == "https://127.0.0.1:9001"

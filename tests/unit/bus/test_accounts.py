"""What each user of the bus may say and hear, and what a server is given."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bus.accounts import (
    AGENT_JWT_S,
    NatsKeys,
    agent_permissions,
    control_permissions,
    fleet_account_jwt,
    new_keys,
    read_keys,
    server_preload,
)
from tests.unit.bus.test_jwt import body
from wire.ids import AgentId, new_id

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AGENT = AgentId(new_id())


def revoked_in(keys: NatsKeys, revoked: dict[str, int], now: datetime) -> object:
    return body(fleet_account_jwt(keys, revoked, now))["revocations"]


def test_an_agent_may_pull_and_ack_in_its_pool_and_hear_itself() -> None:
    may = agent_permissions(AGENT, "default")
    assert set(may.publish) == {"$JS.API.CONSUMER.MSG.NEXT.WORK.default", "$JS.ACK.WORK.default.>"}
    assert set(may.subscribe) == {f"_INBOX_{AGENT}.>", f"nudge.{AGENT}", f"ask.{AGENT}"}


@pytest.mark.parametrize("pool", ["*", ">", "a.b", "", "a b", "a\n", "x" * 65])
def test_a_pool_cannot_widen_what_its_agents_may(pool: str) -> None:
    with pytest.raises(ValueError, match="not a pool's name"):
        agent_permissions(AGENT, pool)


def test_the_control_planes_system_user_can_only_push_accounts() -> None:
    assert control_permissions("SYSTEM").publish == ("$SYS.REQ.CLAIMS.UPDATE",)


def test_keys_are_read_back_from_their_file(tmp_path: Path) -> None:
    keys = new_keys()
    path = tmp_path / "keys.json"
    path.write_bytes(msgspec.json.encode(keys))
    assert read_keys(path) == keys
    assert set(msgspec.json.decode(path.read_bytes())) == {"operator", "system", "fleet", "app"}


def test_the_preload_is_the_same_at_every_start() -> None:
    keys = new_keys()
    assert server_preload(keys) == server_preload(keys)
    assert set(server_preload(keys).accounts) == {keys.account(each) for each in ("SYSTEM", "FLEET", "APP")}


def test_a_revocation_is_kept_until_the_last_jwt_it_could_mean_has_expired() -> None:
    keys, at = new_keys(), int(NOW.timestamp())
    assert revoked_in(keys, {"U1": at}, NOW + timedelta(seconds=AGENT_JWT_S)) == {"U1": at}
    assert revoked_in(keys, {"U1": at}, NOW + timedelta(seconds=2 * AGENT_JWT_S + 1)) == {}

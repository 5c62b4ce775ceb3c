"""Who is who on the bus: one operator, accounts SYSTEM, FLEET and APP, and what each user may say and hear.

operator ──signs──► SYSTEM   takes new account JWTs (a retired agent's revocation)
                    FLEET    WORK and nudges; agents live here, and the control plane's dispatching half
                    APP      EVENTS and progress; the control plane alone
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, assert_never

import msgspec
from msgspec import Struct

from bus.jwt import Permissions, account_jwt, new_seed, operator_jwt, public_key, user_jwt
from wire.ids import AgentId
from wire.subjects import EVENTS, EVENTS_SUBJECTS, WORK, WORK_SUBJECTS, ask_agent, nudge_agent
from wire.units import HOUR_S, KIB

Account = Literal["SYSTEM", "FLEET", "APP"]

AGENT_JWT_S = HOUR_S
"""Short enough that a forgotten agent falls silent soon, long enough that asking again costs nothing."""
CONTROL_JWT_S = HOUR_S
PRELOADED_AT = datetime(2000, 1, 1, tzinfo=UTC)
"""A full resolver keeps the newer of two JWTs: a preloaded one must never replace one that was pushed since."""
AGENT_SUBSCRIPTIONS_MAX = 64
"""An agent needs three or four (its nudge, what it is asked, its inbox, a pull in flight)."""
AGENT_PAYLOAD_MAX_BYTES = 4 * KIB
"""An agent says nothing but pull requests and acks; the rest goes over the fleet listener."""
CONTROL_INBOX = "_INBOX_control"
_POOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""One token of a subject, without wildcards: a pool named `*` would let its agents take everybody's work."""


class NatsKeys(Struct, frozen=True):
    """The seeds of the operator and its accounts: whoever has them owns the bus. Kept in one file of mode 0600."""

    operator: str
    system: str
    fleet: str
    app: str

    def seed(self, account: Account) -> str:
        match account:
            case "SYSTEM":
                return self.system
            case "FLEET":
                return self.fleet
            case "APP":
                return self.app
            case _:
                assert_never(account)

    def account(self, account: Account) -> str:
        """Its public key (A…)."""
        return public_key(self.seed(account))


class Preload(Struct, frozen=True):
    """What the configuration of a NATS server in operator mode needs."""

    operator_jwt: str
    system_account: str
    accounts: dict[str, str]
    """resolver_preload: an account's public key, and its JWT."""


def new_keys() -> NatsKeys:
    return NatsKeys(
        operator=new_seed("operator"), system=new_seed("account"), fleet=new_seed("account"), app=new_seed("account")
    )


def read_keys(path: Path) -> NatsKeys:
    return msgspec.json.decode(path.read_bytes(), type=NatsKeys)


def server_preload(keys: NatsKeys) -> Preload:
    """Always the same for the same keys. Revocations are not in it: they are pushed, and the resolver keeps them."""
    return Preload(
        operator_jwt=operator_jwt(keys.operator, keys.account("SYSTEM"), "seedlift", PRELOADED_AT),
        system_account=keys.account("SYSTEM"),
        accounts=account_jwts(keys, {}, PRELOADED_AT),
    )


def account_jwts(keys: NatsKeys, revoked: Mapping[str, int], now: datetime) -> dict[str, str]:
    """All accounts by public key; `revoked` are agents' public nkeys with the time up to which theirs are void."""
    return {
        keys.account("SYSTEM"): account_jwt(
            keys.operator, keys.account("SYSTEM"), "SYSTEM", now, jetstream=False, revoked={}
        ),
        keys.account("FLEET"): fleet_account_jwt(keys, revoked, now),
        keys.account("APP"): account_jwt(keys.operator, keys.account("APP"), "APP", now, jetstream=True, revoked={}),
    }


def fleet_account_jwt(keys: NatsKeys, revoked: Mapping[str, int], now: datetime) -> str:
    """Names only those whose last JWT may still be alive, so that it does not grow with everybody ever retired."""
    alive_since = int(now.timestamp()) - 2 * AGENT_JWT_S  # twice, for clocks that differ
    still = {user: at for user, at in revoked.items() if at >= alive_since}
    return account_jwt(keys.operator, keys.account("FLEET"), "FLEET", now, jetstream=True, revoked=still)


def agent_inbox(agent: AgentId) -> str:
    return f"_INBOX_{agent}"


def agent_permissions(agent: AgentId, pool: str) -> Permissions:
    if not _POOL.fullmatch(pool):
        raise ValueError(f"not a pool's name: {pool!r}")
    return Permissions(
        publish=(f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{pool}", f"$JS.ACK.{WORK}.{pool}.>"),
        subscribe=(f"{agent_inbox(agent)}.>", nudge_agent(agent), ask_agent(agent)),
        subscriptions_max=AGENT_SUBSCRIPTIONS_MAX,
        payload_max_bytes=AGENT_PAYLOAD_MAX_BYTES,
    )


def control_permissions(account: Account) -> Permissions:
    inbox = f"{CONTROL_INBOX}.>"
    match account:
        case "SYSTEM":
            return Permissions(publish=("$SYS.REQ.CLAIMS.UPDATE",), subscribe=(inbox,))
        case "FLEET":
            return Permissions(
                publish=(WORK_SUBJECTS, "nudge.*", "ask.*", "$JS.API.>", f"$JS.ACK.{WORK}.>"),
                subscribe=(inbox, "nudge.*"),
            )
        case "APP":
            said = (EVENTS_SUBJECTS, "progress.*.*", "detail.*.*", "nudge.work.*")
            jetstream = ("$JS.API.>", f"$JS.ACK.{EVENTS}.>", f"$JS.FC.{EVENTS}.>")
            return Permissions(publish=said + jetstream, subscribe=(*said, inbox))
        case _:
            assert_never(account)


def agent_jwt(keys: NatsKeys, user: str, agent: AgentId, pool: str, now: datetime, ttl_s: int = AGENT_JWT_S) -> str:
    """`user` is the public nkey that the agent made and gave when it enrolled."""
    return user_jwt(keys.fleet, user, f"agent {agent}", agent_permissions(agent, pool), now, ttl_s)


def control_jwt(keys: NatsKeys, account: Account, user: str, now: datetime, ttl_s: int = CONTROL_JWT_S) -> str:
    return user_jwt(keys.seed(account), user, "control", control_permissions(account), now, ttl_s)

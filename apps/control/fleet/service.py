"""What operators do with the fleet: tokens, enrolment, the list, retirement."""

import base64
import datetime as dt
import hashlib
import secrets
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import func, select

from bus.errors import BusError
from control.audit import service as audit
from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.errors import BadInput, NotFound, NotSignedIn
from control.fleet import certificates, duties, pools, revocations
from control.fleet.model import Agent, EnrolToken
from control.plane import Plane
from control.transfers import release
from control.transfers.model import Transfer, held_by
from telemetry import logs
from wire.ids import AgentId, new_id
from wire.messages import Enrol, Enrolled, TokenBody
from wire.states import ON_AGENT, AgentState
from wire.units import DAY_S, HOUR_S

log = logs.get(__name__)

TOKEN_S = HOUR_S
TOKEN_S_MAX = 30 * DAY_S
VERSION_CHARS_MAX = 64
NKEY_CHARS = 56
"""A public user key of NATS: U and 55 digits of base32."""


class NewToken(Struct, frozen=True):
    token: str
    expires_at: dt.datetime


class AgentRow(Struct, frozen=True):
    agent: Agent
    running: int


async def make_token(
    tx: Tx, settings: Settings, *, name: str | None, pool: str | None, ttl_s: int, actor: Actor, now: dt.datetime
) -> NewToken:
    """Shown once; only its hash is kept."""
    pool = pool or settings.pool
    await pools.must_be_there(tx, pool, settings.pool)
    if name is not None:
        duties.check_name(name)
    if not 0 < ttl_s <= TOKEN_S_MAX:
        raise BadInput(f"A token lasts 1 to {TOKEN_S_MAX} seconds.", code="bad_ttl")
    secret, expires_at = secrets.token_urlsafe(32), now + dt.timedelta(seconds=ttl_s)
    row = EnrolToken(token_hash=_hash(secret), name=name, pool=pool, created_at=now, expires_at=expires_at)
    tx.add(row)
    await audit.record(tx, actor, "fleet.token_made", f"pool:{pool}", now, name=name, ttl_s=ttl_s)
    body = TokenBody(
        secret=secret,
        ca_pem=settings.ca_cert_file.read_text(),
        fleet_url=settings.fleet_url,
        nats_url=settings.fleet_nats_url or settings.nats_url,
    )
    return NewToken(base64.urlsafe_b64encode(msgspec.json.encode(body)).rstrip(b"=").decode(), expires_at)


async def enrol(tx: Tx, settings: Settings, asked: Enrol, *, ip: str | None, now: dt.datetime) -> Enrolled:
    """A token is used once: of two that come with it, the second waits for the first's commit and is refused."""
    token = await tx.scalar(select(EnrolToken).where(EnrolToken.token_hash == _hash(asked.secret)).with_for_update())
    if token is None:
        raise NotSignedIn("This enrolment token is not known.", code="token_unknown")
    if token.used_at is not None:
        raise NotSignedIn("This enrolment token was used already; make another one.", code="token_used")
    if token.expires_at <= now:
        raise NotSignedIn("This enrolment token has expired; make another one.", code="token_expired")
    _check(asked)
    name = token.name or asked.name
    await duties.claim_name(tx, name)
    agent_id = AgentId(new_id())
    agent = Agent(
        id=agent_id,
        name=name,
        pool=token.pool,
        state=AgentState.ENROLLED,
        nats_user=asked.nats_user,
        version=asked.version[:VERSION_CHARS_MAX],
        created_at=now,
    )
    signed = await certificates.issue(tx, settings, agent, asked.csr_pem, now)
    token.used_at, token.agent_id = now, agent_id
    actor = Actor(name=f"agent:{agent_id}", ip=ip)
    await audit.record(tx, actor, "fleet.enrolled", f"agent:{agent_id}", now, name=name, pool=token.pool)
    return Enrolled(agent_id, token.pool, signed.pem, settings.ca_cert_file.read_text())


async def listed(tx: Tx, agent_id: UUID | None = None) -> list[AgentRow]:
    """All or one. Retired ones too, last: who looks for one should find it."""
    running = (
        select(Transfer.agent_id, func.count().label("running"))
        .where(Transfer.agent_id.is_not(None), Transfer.state.in_(ON_AGENT))
        .group_by(Transfer.agent_id)
        .subquery()
    )
    query = (
        select(Agent, func.coalesce(running.c.running, 0))
        .outerjoin(running, running.c.agent_id == Agent.id)
        .order_by(Agent.retired_at.is_not(None), Agent.name, Agent.id)
    )
    rows = await tx.execute(query if agent_id is None else query.where(Agent.id == agent_id))
    return [AgentRow(agent, int(count)) for agent, count in rows.all()]


async def one(tx: Tx, agent_id: UUID) -> AgentRow:
    for row in await listed(tx, agent_id):
        return row
    raise NotFound("There is no such agent.")


async def held(tx: Tx, agent_id: UUID) -> list[Transfer]:
    return list(await tx.scalars(select(Transfer).where(Transfer.agent_id == agent_id).order_by(Transfer.id)))


async def retire(plane: Plane, agent_id: UUID, reason: str | None, actor: Actor, now: dt.datetime) -> AgentRow:
    """For good: its certificate and its credentials are void, its transfers go to others. Safe to repeat."""
    async with plane.working() as tx:
        agent = await tx.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(key_share=True))
        if agent is None:
            raise NotFound("There is no such agent.")
        if agent.state is not AgentState.RETIRED:
            agent.move(AgentState.RETIRED)
            agent.retired_at = now
            for transfer in await held_by(tx, agent.id):
                await release.after_handover(tx, transfer, now=now, who=actor.name, why="agent_retired")
            detail = {"name": agent.name, "reason": reason}
            await audit.record(tx, actor, "fleet.retired", f"agent:{agent_id}", now, **detail)
            log.info("agent.retired", agent=str(agent_id), name=agent.name, reason=reason)
    try:
        await revocations.push(plane)
    except BusError as failure:
        log.warning("agent.not_revoked_yet", agent=str(agent_id), reason=repr(failure))
        await plane.nudge("revoke")
    await plane.nudge("dispatch")
    return AgentRow(agent, 0)


def _check(asked: Enrol) -> None:
    duties.check_name(asked.name)
    nkey = asked.nats_user
    if len(nkey) != NKEY_CHARS or not nkey.startswith("U") or not nkey.isalnum() or not nkey.isascii():
        raise BadInput("nats_user must be a public user nkey (U…).", code="bad_nkey")


def _hash(secret: str) -> bytes:
    """Enough for a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()

"""Agents' certificates: who shows one, and the next one in time. The old one stays good till its end."""

import datetime as dt

from msgspec import Struct
from sqlalchemy import delete, select

from control.audit import service as audit
from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.errors import NotSignedIn
from control.fleet import authority
from control.fleet.authority import Shown, Signed
from control.fleet.model import Agent, Certificate
from telemetry import logs
from wire.ids import AgentId
from wire.states import AgentState

log = logs.get(__name__)

RENEW_AT = 2 / 3
"""Of a certificate's life: leaves a third of it for trying again."""
KEPT_MAX = 8
"""One agent's: whoever renews more often than that loses the oldest."""


class Standing(Struct, frozen=True):
    """Who shows a certificate, and what about it."""

    agent: Agent
    renew: bool


async def check(tx: Tx, shown: Shown, now: dt.datetime) -> Standing:
    """Looked up each time: a retired agent is refused with its next request, and so is a certificate that ended while
    its connection stayed open."""
    row = (
        await tx.execute(
            select(Agent, Certificate)
            .join(Certificate, Certificate.agent_id == Agent.id)
            .where(Agent.id == shown.agent, Certificate.serial == shown.serial)
        )
    ).one_or_none()
    if row is None:
        raise NotSignedIn("This certificate is no agent's.", code="unknown_agent")
    agent, certificate = row
    if agent.state is AgentState.RETIRED:
        raise NotSignedIn("This agent was retired.", code="agent_retired")
    if certificate.expires_at <= now:
        raise NotSignedIn("This certificate has ended: enrol again with a new token.", code="certificate_expired")
    return Standing(agent, now >= renew_at(certificate.issued_at, certificate.expires_at))


def renew_at(issued_at: dt.datetime, expires_at: dt.datetime) -> dt.datetime:
    return issued_at + (expires_at - issued_at) * RENEW_AT


async def issue(tx: Tx, settings: Settings, agent: Agent, csr_pem: str, now: dt.datetime) -> Signed:
    """Its next one, or its first."""
    life = dt.timedelta(seconds=settings.certificate_s)
    signed = authority.sign(authority.load(settings), csr_pem, AgentId(agent.id), now, life)
    agent.certificate_serial, agent.certificate_until = signed.serial, signed.until
    tx.add(agent)
    await tx.flush()  # the agent is there before what refers to it
    tx.add(Certificate(serial=signed.serial, agent_id=agent.id, issued_at=now, expires_at=signed.until))
    await tx.flush()
    return signed


async def renew(
    tx: Tx, settings: Settings, agent_id: AgentId, csr_pem: str, *, ip: str | None, now: dt.datetime
) -> str:
    """If the answer is lost the agent asks again, with the certificate that it still has, and gets one more."""
    agent = await tx.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(key_share=True))
    if agent is None or agent.state is AgentState.RETIRED:
        raise NotSignedIn("This agent was retired.", code="agent_retired")
    signed = await issue(tx, settings, agent, csr_pem, now)
    kept = (
        select(Certificate.serial)
        .where(Certificate.agent_id == agent_id)
        .order_by(Certificate.issued_at.desc())
        .limit(KEPT_MAX)
    )
    await tx.execute(delete(Certificate).where(Certificate.agent_id == agent_id, Certificate.serial.not_in(kept)))
    actor = Actor(name=f"agent:{agent_id}", ip=ip)
    await audit.record(tx, actor, "fleet.renewed", f"agent:{agent_id}", now, until=signed.until.isoformat())
    log.info("agent.renewed", agent=str(agent_id), name=agent.name, until=signed.until.isoformat())
    return signed.pem

"""What operators want of an agent: its duty, speed and name. They write what should be; its next sync hears it."""

import datetime as dt
from uuid import UUID

from msgspec.structs import asdict
from sqlalchemy import func, select, text

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from control.fleet.model import Agent
from control.plane import Plane
from control.speed import LimitSpeed
from control.transfers.model import Transfer
from telemetry import logs
from wire.messages import Pace
from wire.states import AGENT_SYNCS, AgentState, Duty, agent_state

log = logs.get(__name__)

NAME_CHARS_MAX = 63
SAID = {
    Duty.WORK: "fleet.uncordoned",
    Duty.CORDON: "fleet.cordoned",
    Duty.DRAIN: "fleet.draining",
    Duty.HAND_OVER: "fleet.handing_over",
}
"""As audit and log word it."""
MET = AGENT_SYNCS | {AgentState.DRAINED}
"""Its state follows at once; that of one which is away follows when it is heard of again."""
_NAMES = text("SELECT pg_advisory_xact_lock(hashtext('agents.name'))")


async def assign(plane: Plane, agent_id: UUID, duty: Duty, reason: str | None, actor: Actor, now: dt.datetime) -> None:
    """Effective with the commit: from then on its claims are refused, whatever it has heard. Safe to repeat."""
    async with plane.working() as tx:
        agent = await locked(tx, agent_id)
        if agent.duty is not duty:
            agent.duty = duty
            if agent.state in MET:
                agent.move(agent_state(duty, holds=await _holds(tx, agent_id)))
            await audit.record(tx, actor, SAID[duty], f"agent:{agent_id}", now, name=agent.name, reason=reason)
            log.info(SAID[duty], agent=str(agent_id), name=agent.name, state=agent.state, reason=reason)
    await plane.nudge_agent(agent_id)
    await plane.nudge("dispatch")


async def limit(plane: Plane, agent_id: UUID, asked: LimitSpeed, actor: Actor, now: dt.datetime) -> None:
    """Of all that it does; it hears of it with its next sync, and with every one after a restart."""
    async with plane.working() as tx:
        agent = await locked(tx, agent_id)
        before = Pace(agent.down_max, agent.up_max)
        if (after := asked.of(before)) != before:
            agent.down_max, agent.up_max = after.down_max, after.up_max
            said = {"before": asdict(before), "after": asdict(after)}
            await audit.record(tx, actor, "fleet.limited", f"agent:{agent_id}", now, name=agent.name, **said)
    await plane.nudge_agent(agent_id)


async def rename(plane: Plane, agent_id: UUID, name: str, actor: Actor, now: dt.datetime) -> None:
    """Agents are known by their certificates: a name is for people alone."""
    async with plane.working() as tx:
        agent = await locked(tx, agent_id)
        if agent.name != name:
            await claim_name(tx, name)
            was, agent.name = agent.name, name
            await audit.record(tx, actor, "fleet.renamed", f"agent:{agent_id}", now, name=name, was=was)


async def locked(tx: Tx, agent_id: UUID) -> Agent:
    agent = await tx.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(key_share=True))
    if agent is None:
        raise NotFound("There is no such agent.")
    if agent.state is AgentState.RETIRED:
        raise Conflict("This agent was retired: enrol a new one.", code="agent_retired")
    return agent


async def claim_name(tx: Tx, name: str) -> None:
    """Of two that want the same name, the second waits for the first's commit and is refused."""
    check_name(name)
    await tx.execute(_NAMES)
    if await tx.scalar(select(Agent.id).where(Agent.name == name, Agent.retired_at.is_(None))):
        raise Conflict(f"There is an agent named {name!r} already; retire it, or take another name.", code="name_taken")


def check_name(name: str) -> None:
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise BadInput(f"An agent's name has 1 to {NAME_CHARS_MAX} printable characters.", code="bad_name")


async def _holds(tx: Tx, agent_id: UUID) -> bool:
    return bool(await tx.scalar(select(func.count()).where(Transfer.agent_id == agent_id)))

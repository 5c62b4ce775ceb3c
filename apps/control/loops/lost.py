"""Loop `lost`: an agent that has been silent for a lease is lost, and what it held goes to others."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, text, update

from control.db import Tx
from control.fleet.model import Agent
from control.loops import driver
from control.plane import Plane
from control.transfers import release
from control.transfers.model import Transfer, held_by
from telemetry import logs
from wire.states import AGENT_SYNCS, AgentState

log = logs.get(__name__)

GONE = (AgentState.LOST, AgentState.RETIRED)


async def step(plane: Plane, now: datetime) -> bool:
    lease = timedelta(seconds=plane.settings.wait(plane.settings.lease_s))
    async with plane.working() as tx:
        if not await driver.alone(tx, "lost"):
            return False
        if await _could_not_hear(tx, lease):
            return False
        await _set_back(tx, lease, now)
        silent = Agent.state.in_(AGENT_SYNCS) & or_(Agent.seen_at.is_(None), Agent.seen_at < now - lease)
        rows = await tx.scalars(
            select(Agent).where(silent).order_by(Agent.id).with_for_update(key_share=True, skip_locked=True)
        )
        released = 0
        for agent in rows.all():
            agent.move(AgentState.LOST)
            held = await _give_away(tx, plane, agent, now)
            log.warning("agent.lost", agent=str(agent.id), name=agent.name, seen_at=str(agent.seen_at), held=held)
            released += held
        released += await _sweep(tx, plane, now)
    if released:
        await plane.nudge("dispatch")
    return False


async def _could_not_hear(tx: Tx, lease: timedelta) -> bool:
    """A database that is back for less than a lease has nobody's latest word: their silence was ours."""
    up = text("SELECT clock_timestamp() - pg_postmaster_start_time() < :lease")
    return bool(await tx.scalar(up, {"lease": lease}))


async def _set_back(tx: Tx, lease: timedelta, now: datetime) -> None:
    """Heard of by a clock that was ahead: from now on its lease runs by this one."""
    ahead = Agent.state.in_(AGENT_SYNCS) & (Agent.seen_at > now + lease)
    await tx.execute(update(Agent).where(ahead).values(seen_at=now))


async def _give_away(tx: Tx, plane: Plane, agent: Agent, now: datetime) -> int:
    held = await held_by(tx, agent.id)
    for transfer in held:
        await release.after_loss(tx, transfer, plane.settings, now=now, who="loop:lost", why="agent_lost")
    return len(held)


async def _sweep(tx: Tx, plane: Plane, now: datetime) -> int:
    """What somebody who is gone still holds by whatever accident."""
    gone = select(Agent).join(Transfer, Transfer.agent_id == Agent.id).where(Agent.state.in_(GONE)).order_by(Agent.id)
    agents = (await tx.scalars(gone.with_for_update(key_share=True, skip_locked=True, of=Agent))).unique().all()
    return sum([await _give_away(tx, plane, agent, now) for agent in agents])

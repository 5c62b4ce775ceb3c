"""Loop `paused`: what has been paused for long leaves its agent; one that is drained it leaves at once."""

from datetime import datetime, timedelta

from sqlalchemy import select

from control.fleet.model import Agent
from control.plane import Plane
from control.transfers import release
from control.transfers.model import Transfer
from wire.states import DRAINS, ON_AGENT, Intent

AT_ONCE = 100


async def step(plane: Plane, now: datetime) -> bool:
    """Only pieces of unfinished parts are lost by it. Their agents hear of it with the next sync."""
    since = now - timedelta(seconds=plane.settings.wait(plane.settings.pause_kept_s))
    draining = Transfer.agent_id.in_(select(Agent.id).where(Agent.duty.in_(DRAINS)))
    kept_up = select(Transfer).where(
        (Transfer.paused_at < since) | draining, Transfer.intent == Intent.PAUSE, Transfer.state.in_(ON_AGENT)
    )
    async with plane.working() as tx:
        some = kept_up.order_by(Transfer.id).limit(AT_ONCE).with_for_update(key_share=True, skip_locked=True)
        transfers = (await tx.scalars(some)).all()
        for transfer in transfers:
            await release.after_handover(tx, transfer, now=now, who="loop:paused", why="paused_away")
    return len(transfers) == AT_ONCE

"""Loop `ensure`: streams, consumers and the bucket are there; whoever deletes them costs seconds."""

from datetime import datetime

from sqlalchemy import select

from bus import streams
from bus.errors import BusDown
from control.fleet import pools
from control.fleet.model import Agent, EnrolToken
from control.plane import Plane
from control.storage.errors import StoreDown
from telemetry import logs

log = logs.get(__name__)


async def step(plane: Plane, now: datetime) -> bool:
    """Each for itself: a store that is away does not keep the streams from being made."""
    try:
        await plane.store.ensure_bucket()
    except StoreDown as failure:
        log.warning("ensure.store_down", reason=str(failure))
    try:
        await streams.ensure_app(plane.app_bus)
        await streams.ensure_fleet(plane.fleet_bus, await _pools(plane, now))
    except BusDown as failure:
        log.warning("ensure.bus_down", reason=str(failure))
        return False
    await plane.nudge("relay")
    return False


async def _pools(plane: Plane, now: datetime) -> list[str]:
    """Of agents, and of tokens that may still become some: the consumer should be there before its first agent."""
    async with plane.db.working() as tx:
        agents = await tx.scalars(select(Agent.pool).where(Agent.retired_at.is_(None)).distinct())
        await pools.keep(tx, plane.settings.pool, now)
        tokens = await tx.scalars(select(EnrolToken.pool).where(EnrolToken.expires_at > now).distinct())
        return sorted({plane.settings.pool, *agents, *tokens})

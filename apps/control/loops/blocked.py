"""Loop `blocked`: what has a blocked info-hash comes to an end, wherever it is.

    blocked ──► its transfers and their jobs fail, their objects are purged ──► again, for a minute ──► settled
What was being added at the moment of the block is not visible yet to the first sweep; the last one sees it.
"""

from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Select, func, or_, select, update

from control.db import Tx
from control.jobs import blocked
from control.loops import driver
from control.plane import Plane
from control.torrents.blocklist import BLOCKED
from control.torrents.model import Block, Torrent
from control.transfers.model import Transfer, locked
from telemetry import logs
from telemetry.correlation import correlated
from wire.states import TransferState

log = logs.get(__name__)

WHO = "loop:blocked"
AT_ONCE = 50
SLACK_S = 60
"""No request's transaction is open for longer."""

_ENDED = Counter("control_blocked_transfers_total", "Transfers ended because their torrent was blocked.")


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "blocked"):
            return False
        torrents = await _torrents(tx)
        found = list(await tx.scalars(_to_end(torrents).limit(AT_ONCE))) if torrents else []
    for transfer_id in found:
        await _end(plane, transfer_id, now)
    if found:
        await plane.nudge("purge")
    if len(found) == AT_ONCE:
        return True
    async with plane.working() as tx:
        old = Block.created_at < now - timedelta(seconds=plane.settings.wait(SLACK_S))
        await tx.execute(update(Block).where(~Block.settled, old).values(settled=True))
    return False


async def _torrents(tx: Tx) -> list[UUID]:
    """With a hash that is not settled, and whatever is the same torrent by another name."""
    new = select(func.coalesce(Torrent.alias_of, Torrent.id)).join(
        Block, or_(Block.hash == Torrent.v1, Block.hash == Torrent.v2)
    )
    roots = list(await tx.scalars(new.where(~Block.settled)))
    if not roots:
        return []
    return list(await tx.scalars(select(Torrent.id).where(or_(Torrent.id.in_(roots), Torrent.alias_of.in_(roots)))))


def _to_end(torrents: list[UUID]) -> Select[UUID]:
    """What was stopped is purged as nobody's; it cannot be taken up again."""
    over = (Transfer.state == TransferState.FAILED) & (Transfer.failure_code == BLOCKED.code) & ~Transfer.go
    return (
        select(Transfer.id)
        .where(Transfer.torrent_id.in_(torrents), Transfer.state != TransferState.STOPPED, over.is_not(True))
        .order_by(Transfer.id)
    )


async def _end(plane: Plane, transfer_id: UUID, now: datetime) -> None:
    async with plane.working() as tx:
        # Locks in everybody's order: torrent, transfer, jobs.
        torrent_id = await tx.scalar(select(Transfer.torrent_id).where(Transfer.id == transfer_id))
        await tx.execute(select(Torrent.id).where(Torrent.id == torrent_id).with_for_update(key_share=True))
        transfer = await locked(tx, transfer_id)
        if transfer is None or transfer.state is TransferState.STOPPED:
            return
        agent, correlation_id = await blocked.end(tx, transfer, now=now, who=WHO), transfer.correlation_id
    _ENDED.inc()
    with correlated(correlation_id):
        log.info("transfer.blocked", transfer=str(transfer_id))
    if agent is not None:
        await plane.nudge_agent(agent)

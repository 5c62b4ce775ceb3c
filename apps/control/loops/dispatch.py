"""Loop `dispatch`: offers what waits, fairly and late: few offers are open, and only while somebody can take them."""

from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Row, func, or_, select

from control import outbox
from control.db import IllegalMove, Tx
from control.flags import service as flags
from control.flags.service import Flag
from control.fleet.model import Agent
from control.loops import driver
from control.loops.fairness import Waiting, fair
from control.plane import Plane
from control.plans import allowance
from control.transfers import moves
from control.transfers.model import Transfer, at_work, is_doubted
from control.transfers.retry import JITTER
from telemetry import logs
from telemetry.correlation import correlated
from wire.ids import TransferId
from wire.messages import Offer
from wire.states import WANTS_AGENT, AgentState, Intent, TransferState

log = logs.get(__name__)

WHO = "loop:dispatch"
OPEN_MAX = 32
"""Offers open in a pool at once: enough to fill idle agents within a few round trips, few enough to decide late."""
LINE = 64
"""How many of one organisation's waiting transfers are looked at in one step."""
SCOPES_MAX = 2_000

_OFFERS = Counter("control_offers_total", "Offers made, first or again.", ["kind"])


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "dispatch"):
            return False
        await _settle(tx, plane, now)
        rooms = await _room(tx, plane, now) if await flags.is_on(tx, Flag.DISPATCH) else {}
        for pool, room in rooms.items():
            await _offer_again(tx, plane, pool, now)
            await _offer_new(tx, plane, pool, min(room, OPEN_MAX), now)
    return False


async def _settle(tx: Tx, plane: Plane, now: datetime) -> None:
    """What nobody wants any more does not wait."""
    unwanted = select(Transfer).where(
        Transfer.state.in_((TransferState.WAITING, TransferState.OFFERED)), Transfer.intent == Intent.STOP
    )
    for transfer in (
        await tx.scalars(unwanted.order_by(Transfer.id).with_for_update(key_share=True, skip_locked=True))
    ).all():
        await _moved(tx, transfer, TransferState.STOPPED, now, "not_wanted")


async def _moved(tx: Tx, transfer: Transfer, to: TransferState, now: datetime, why: str) -> bool:
    """Not, if it or a job of it may not go there."""
    which = transfer.id
    try:
        async with tx.begin_nested():
            await moves.move(tx, transfer, to, now=now, who=WHO, why=why)
    except IllegalMove:
        driver.passed_over("dispatch", which)
        return False
    return True


async def _room(tx: Tx, plane: Plane, now: datetime) -> dict[str, int]:
    """Free slots of agents that are ready and were heard of within the lease, by pool."""
    lease = timedelta(seconds=plane.settings.wait(plane.settings.lease_s))
    running = (
        select(Transfer.agent_id, func.count().label("running"))
        .where(Transfer.agent_id.is_not(None), Transfer.intent.in_(WANTS_AGENT))
        .group_by(Transfer.agent_id)
        .subquery()
    )
    free = func.greatest(Agent.slots - func.coalesce(running.c.running, 0), 0)
    rows = await tx.execute(
        select(Agent.pool, func.sum(free))
        .outerjoin(running, running.c.agent_id == Agent.id)
        .where(Agent.state == AgentState.READY, Agent.seen_at > now - lease)
        .group_by(Agent.pool)
    )
    return {pool: int(slots) for pool, slots in rows.all()}


async def _offer_again(tx: Tx, plane: Plane, pool: str, now: datetime) -> None:
    """Not claimed for so long: the message was lost, or forged away, or whoever had it died. A new number, because
    the broker would drop the same one within its duplicate window."""
    again = timedelta(seconds=plane.settings.wait(plane.settings.offer_again_s))
    old = select(Transfer).where(
        Transfer.pool == pool,
        Transfer.state == TransferState.OFFERED,
        or_(Transfer.offered_at.is_(None), ~Transfer.offered_at.between(now - again, now + again)),
    )
    for transfer in (
        await tx.scalars(old.order_by(Transfer.id).with_for_update(key_share=True, skip_locked=True))
    ).all():
        _offer(tx, transfer, "again", now)


async def _offer_new(tx: Tx, plane: Plane, pool: str, room: int, now: datetime) -> None:
    offered = Transfer.state == TransferState.OFFERED
    room -= await tx.scalar(select(func.count()).where(Transfer.pool == pool, offered)) or 0
    if room <= 0:
        return
    longest = timedelta(seconds=plane.settings.wait(plane.settings.retry_max_s) * (1 + JITTER))
    waiting = await _line(tx, pool, now, longest)
    scopes = {each.scope for each in waiting}
    active = await _active(tx, scopes)
    allowed = {org: each.limits.active for org, each in (await allowance.of_all(tx, scopes)).items()}
    for chosen in fair(waiting, active, allowed, room):
        one = select(Transfer).where(Transfer.id == chosen.transfer, Transfer.state == TransferState.WAITING)
        transfer = await tx.scalar(
            one.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
        )
        if transfer is None:
            continue
        if await _moved(tx, transfer, TransferState.OFFERED, now, "admitted"):
            _offer(tx, transfer, "new", now)


_TURN = (Transfer.priority.desc(), Transfer.created_at, Transfer.id)
"""Within an organisation. A job that is important to it is nothing to the others."""


async def _line(tx: Tx, pool: str, now: datetime, longest: timedelta) -> list[Waiting]:
    """Of each organisation only the first few: one with ten thousand must not hide the others. Whoever is to wait for
    longer than anybody ever is was told so by a clock that was ahead."""
    place = func.row_number().over(partition_by=Transfer.scope_id, order_by=_TURN)
    lines = (
        select(Transfer.id, Transfer.scope_id, Transfer.created_at, place.label("place"))
        .where(
            Transfer.pool == pool,
            Transfer.state == TransferState.WAITING,
            ~is_doubted(),
            Transfer.intent.in_(WANTS_AGENT),
            or_(Transfer.not_before.is_(None), Transfer.not_before <= now, Transfer.not_before > now + longest),
        )
        .subquery()
    )
    rows = await tx.execute(
        select(lines.c.id, lines.c.scope_id)
        .where(lines.c.place <= LINE)
        .order_by(lines.c.place, lines.c.created_at, lines.c.id)
        .limit(SCOPES_MAX)
    )
    return [_waiting(row) for row in rows.all()]


def _waiting(row: "Row[UUID, UUID]") -> Waiting:
    return Waiting(transfer=row[0], scope=row[1])


async def _active(tx: Tx, scopes: set[UUID]) -> dict[UUID, int]:
    rows = await tx.execute(
        select(Transfer.scope_id, func.count())
        .where(Transfer.scope_id.in_(scopes), at_work())
        .group_by(Transfer.scope_id)
    )
    return dict(rows.all())


def _offer(tx: Tx, transfer: Transfer, kind: str, now: datetime) -> None:
    transfer.offer_no += 1
    transfer.offered_at = now
    offer = Offer(TransferId(transfer.id), transfer.offer_no, transfer.correlation_id)
    outbox.put_offer(tx, transfer.pool, offer, now)
    _OFFERS.labels(kind).inc()
    with correlated(transfer.correlation_id):
        log.info("transfer.offered", transfer=str(transfer.id), offer_no=transfer.offer_no, pool=transfer.pool)

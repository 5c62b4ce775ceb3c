"""What an organisation has and uses, all of it; and the same counted anew from its jobs, to compare."""

import datetime as dt

from msgspec import Struct
from sqlalchemy import case, exists, func, select

from control.db import Tx
from control.jobs.model import Job, holds_data
from control.plans import allowance, traffic
from control.plans.allowance import Allowance
from control.plans.limits import Held
from control.plans.model import TrafficKind
from control.transfers.model import Object, Transfer, at_work
from wire.ids import OrgId
from wire.states import JOB_ACTIVE, TRANSFER_ENDED, WANTS_AGENT, Intent, TransferState


class Usage(Struct, frozen=True):
    allowance: Allowance
    held: Held
    waiting: int
    """Transfers that want an agent and have none yet."""
    traffic: dict[TrafficKind, int]


async def of(tx: Tx, org: OrgId, now: dt.datetime) -> Usage:
    allowed = await allowance.of(tx, org)
    month = await traffic.of_month(tx, org, now)
    working = func.count().filter(at_work())
    waiting = func.count().filter(Transfer.state == TransferState.WAITING, Transfer.intent.in_(WANTS_AGENT))
    open_ones = select(working, waiting).where(Transfer.scope_id == org, Transfer.state.not_in(TRANSFER_ENDED))
    active, in_line = (await tx.execute(open_ones)).one()
    jobs = select(func.count()).where(Job.org_id == org, Job.removed_at.is_(None), Job.state.in_(JOB_ACTIVE))
    largest = select(func.max(Object.size_bytes)).where(Object.scope_id == org, Object.stored_at.is_not(None))
    held = Held(
        active=active,
        open_jobs=int(await tx.scalar(jobs) or 0),
        storage_bytes=allowed.reserved_bytes + allowed.stored_bytes,
        file_bytes=int(await tx.scalar(largest) or 0),
        traffic_bytes=sum(month.values()),
        kept_days=allowed.dates_by,
    )
    return Usage(allowed, held, in_line, month)


class Counted(Struct, frozen=True):
    reserved_bytes: int
    stored_bytes: int


async def recounted(tx: Tx, org: OrgId) -> Counted:
    """From jobs and their transfers alone: what the triggers must have come to."""
    holding = exists().where(Job.transfer_id == Transfer.id, holds_data())
    under_way = Transfer.go & (Transfer.intent != Intent.STOP) & Transfer.state.not_in(TRANSFER_ENDED)
    whole = Transfer.go & (Transfer.state == TransferState.STORED)
    size = func.coalesce(Transfer.size_bytes, 0)
    reserved = func.coalesce(func.sum(case((under_way, size), else_=0)), 0)
    kept = case((under_way, 0), (whole, size), (Transfer.state == TransferState.STORED, 0), else_=Transfer.stored_bytes)
    counted = select(reserved, func.coalesce(func.sum(kept), 0)).where(Transfer.scope_id == org, holding)
    return Counted(*(int(each) for each in (await tx.execute(counted)).one()))

"""Whether there is room for a job under its organisation's limits. Whoever asks holds the organisation's lock: what
others take meanwhile is taken after.

What is used is added up by triggers (`plans.model`); what is asked for is in the transfer's row already, and rolled
back where there is no room.
"""

import datetime as dt

from msgspec.structs import replace
from sqlalchemy import func, select

from control.accounts import organisations
from control.db import Tx
from control.errors import QuotaSpent
from control.jobs import selection
from control.jobs.model import Job
from control.plans import allowance, limits
from control.plans.allowance import Allowance
from control.plans.limits import Need, Use
from control.transfers.model import Transfer
from wire.ids import OrgId
from wire.states import JOB_ACTIVE


async def lock(tx: Tx, org: OrgId) -> None:
    """One at a time counts and adds: a limit that two read at once is no limit."""
    await organisations.lock(tx, org)


async def why_not(tx: Tx, transfer: Transfer, now: dt.datetime) -> QuotaSpent | None:
    """For what is wanted of the transfer: its size is known. What is stored of it already is no more traffic."""
    await tx.flush()
    org = OrgId(transfer.scope_id)
    counted = await allowance.of(tx, org)
    used = await allowance.use(tx, org, counted, now, but=transfer.id)
    size = transfer.size_bytes or 0
    largest = await selection.largest_wanted(tx, transfer)
    need = Need(storage=size, traffic=max(0, size - transfer.stored_bytes), largest=largest)
    return await _lack(tx, counted, used, need)


async def check_open(tx: Tx, org: OrgId) -> None:
    open_jobs = select(func.count()).where(Job.org_id == org, Job.removed_at.is_(None), Job.state.in_(JOB_ACTIVE))
    used = Use(open_jobs=int(await tx.scalar(open_jobs) or 0))
    if (lack := await _lack(tx, await allowance.of(tx, org), used, Need(jobs=1))) is not None:
        raise lack


async def check_delivery(tx: Tx, org: OrgId, size_bytes: int, now: dt.datetime) -> None:
    """What is set aside for transfers under way is theirs."""
    counted = await allowance.of(tx, org)
    used = await allowance.use(tx, org, counted, now)
    if (lack := await _lack(tx, counted, used, Need(traffic=size_bytes))) is not None:
        raise lack


async def _lack(tx: Tx, counted: Allowance, used: Use, need: Need) -> QuotaSpent | None:
    lack = limits.short(counted.limits, used, need)
    if lack is None:
        return None
    listed = [plan for plan in await allowance.plans(tx) if plan.is_listed]
    roomy = [plan.name for plan in listed if limits.short(allowance.limits_of(plan), used, need) is None]
    lack = replace(lack, plans=roomy)
    return QuotaSpent(limits.sentence(lack), lack)

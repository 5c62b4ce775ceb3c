"""What an organisation's jobs hold, against its limits. Whoever asks before adding holds the organisation's lock."""

from sqlalchemy import case, func, select

from control.accounts import organisations
from control.db import Tx
from control.errors import QuotaSpent
from control.jobs.limits import limits
from control.jobs.model import Job, holds_data
from control.transfers.model import Transfer
from wire.ids import OrgId, TransferId
from wire.messages import Failure
from wire.states import JOB_ACTIVE, TransferState
from wire.units import GIB

GAVE_UP = (TransferState.FAILED, TransferState.STOPPED)


async def lock(tx: Tx, org: OrgId) -> None:
    """One at a time counts and adds: a limit that two read at once is no limit."""
    await organisations.lock(tx, org)


async def bytes_held(tx: Tx, org: OrgId, but: TransferId | None = None) -> int:
    """Of all transfers that a job on somebody's list holds, or whose data was kept: the whole size, or what was stored
    of those given up, or not yet judged."""
    held = select(Job.transfer_id).where(Job.org_id == org, holds_data())
    small = Transfer.state.in_(GAVE_UP) | ~Transfer.go
    size = case((small, Transfer.stored_bytes), else_=func.coalesce(Transfer.size_bytes, 0))
    total = select(func.coalesce(func.sum(size), 0)).where(Transfer.id.in_(held), Transfer.id.is_distinct_from(but))
    return int(await tx.scalar(total) or 0)


async def fits(tx: Tx, org: OrgId, size_bytes: int, but: TransferId | None = None) -> bool:
    """Whether so many bytes more may be stored; `but` is the transfer they belong to, if there is one already."""
    return await bytes_held(tx, org, but) + size_bytes <= limits(org).bytes


async def refuse_bytes(tx: Tx, transfer: Transfer, size_bytes: int) -> Failure | None:
    """For metadata that has just come: why this transfer must not go on, or None."""
    org = OrgId(transfer.scope_id)
    await lock(tx, org)
    if await fits(tx, org, size_bytes, TransferId(transfer.id)):
        return None
    return Failure(code=QuotaSpent.code, detail=too_much(org, size_bytes), retryable=False)


async def check_open(tx: Tx, org: OrgId) -> None:
    allowed = limits(org)
    open_jobs = select(func.count()).where(Job.org_id == org, Job.removed_at.is_(None), Job.state.in_(JOB_ACTIVE))
    if int(await tx.scalar(open_jobs) or 0) >= allowed.open_jobs:
        raise QuotaSpent(f"{allowed.open_jobs} jobs are open: wait for some, or cancel them.", code="too_many_jobs")


def too_much(org: OrgId, size_bytes: int) -> str:
    allowed = limits(org).bytes
    return f"This needs {size_bytes / GIB:.2f} GiB, more than is left of {allowed // GIB} GiB: remove jobs first."

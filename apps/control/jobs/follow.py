"""Jobs follow their transfer: a job's state is `job_state(intent, transfer)`, worked out here and nowhere else."""

import datetime as dt
from uuid import UUID

from sqlalchemy import select

from control import outbox
from control.db import Tx
from control.jobs import selection
from control.jobs.model import Event, Job
from control.outbox import Message
from control.plans import allowance
from control.transfers.model import Transfer
from wire.events import JobEvent
from wire.failures import FAILURES
from wire.ids import JobId, OrgId
from wire.states import EXPIRES, Intent, JobState, TransferState, job_state


async def jobs_of(
    tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str, holder: UUID | None = None
) -> None:
    """Every job that holds the transfer takes its state from it, with an event row and an outbox row each. A job that
    has its files, was cancelled or has expired stays so, whatever another makes of its transfer. `holder` is whose move
    it was."""
    over = (JobState.COMPLETED, JobState.CANCELLED, JobState.EXPIRED)
    holders = select(Job).where(Job.transfer_id == transfer.id, Job.state.not_in(over)).with_for_update(key_share=True)
    for job in (await tx.scalars(holders)).all():
        await one(tx, job, transfer, now=now, who=who, why=why, holder=holder)


async def one(
    tx: Tx,
    job: Job,
    transfer: Transfer,
    *,
    now: dt.datetime,
    who: str,
    why: str,
    holder: UUID | None = None,
    complete: bool = False,
) -> None:
    """`complete`: its own files are stored and were looked at, though its transfer goes on for others."""
    was = job.state
    if was is JobState.EXPIRED:
        return  # for good: whoever asks for the torrent again gets another job
    to = job_state(
        job.intent,
        transfer.state,
        metadata_known=transfer.size_bytes is not None,
        claimed_before=transfer.epoch > 0,
        complete=complete or (transfer.state is TransferState.STORED and await selection.is_complete(tx, job)),
    )
    if not job.move(to, now):
        if why not in FAILURES:
            return
        job.version += 1  # a try that failed is told, though the job waits as it did before
        job.updated_at = now
    if to is not was:
        job.expires_at, job.expiry_warned_at = await _expiry(tx, job, now), None
    failed = to is JobState.FAILED
    job.failure_code = transfer.failure_code if failed else None
    job.failure_detail = transfer.failure_detail if failed else None
    detail = transfer.failure_detail if why == transfer.failure_code else None
    tell(tx, told(job, was, now=now, who=who, why=why, epoch=transfer.epoch, holder=holder, detail=detail))


async def _expiry(tx: Tx, job: Job, now: dt.datetime) -> dt.datetime | None:
    if job.state not in EXPIRES:
        return None
    days = (await allowance.of(tx, OrgId(job.org_id))).limits.kept_days
    return now + dt.timedelta(days=days) if days is not None else None


def expire(tx: Tx, job: Job, *, now: dt.datetime, who: str) -> None:
    """Its time is over. Nobody sees it end who has removed it."""
    was = job.state
    job.intent, job.data_kept = Intent.STOP, False
    job.move(JobState.EXPIRED, now)
    tell(tx, told(job, was, now=now, who=who, why="expired"))


def tell(tx: Tx, said: tuple[Event, Message]) -> None:
    event, message = said
    tx.add(event)
    outbox.put(tx, message)


def told(
    job: Job,
    was: JobState | None,
    *,
    now: dt.datetime,
    who: str,
    why: str,
    epoch: int = 0,
    holder: UUID | None = None,
    detail: str | None = None,
) -> tuple[Event, Message]:
    """The event row, and the message that says so."""
    event = Event(
        job_id=job.id,
        version=job.version,
        org_id=job.org_id,
        from_state=was,
        to_state=job.state,
        who=who,
        why=why,
        epoch=epoch or None,
        agent_id=holder,
        detail=detail,
        at=now,
    )
    said = JobEvent(
        job=JobId(job.id),
        version=job.version,
        state=job.state,
        at=now,
        code=job.failure_code,
        removed=job.removed_at is not None,
    )
    return event, outbox.of_event(job.org_id, said, job.correlation_id)

"""Jobs follow their transfer: a job's state is `job_state(intent, transfer)`, worked out here and nowhere else."""

import datetime as dt

from sqlalchemy import select

from control import outbox
from control.db import Tx
from control.jobs import selection
from control.jobs.model import Event, Job
from control.transfers.model import Transfer
from wire.ids import JobId
from wire.messages import JobEvent
from wire.states import JobState, TransferState, job_state


async def jobs_of(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """Every job that holds the transfer takes its state from it, with an event row and an outbox row each. A job that
    has its files, was cancelled or has expired stays so, whatever another makes of its transfer."""
    over = (JobState.COMPLETED, JobState.CANCELLED, JobState.EXPIRED)
    holders = select(Job).where(Job.transfer_id == transfer.id, Job.state.not_in(over)).with_for_update(key_share=True)
    for job in (await tx.scalars(holders)).all():
        await one(tx, job, transfer, now=now, who=who, why=why)


async def one(
    tx: Tx, job: Job, transfer: Transfer, *, now: dt.datetime, who: str, why: str, complete: bool = False
) -> None:
    """`complete`: its own files are stored and were looked at, though its transfer goes on for others."""
    was = job.state
    to = job_state(
        job.intent,
        transfer.state,
        metadata_known=transfer.size_bytes is not None,
        claimed_before=transfer.epoch > 0,
        complete=complete or (transfer.state is TransferState.STORED and await selection.is_complete(tx, job)),
    )
    if not job.move(to, now):
        return
    job.failure_code = transfer.failure_code if to is JobState.FAILED else None
    job.failure_detail = transfer.failure_detail if to is JobState.FAILED else None
    tell(tx, job, was, now=now, who=who, why=why)


def tell(tx: Tx, job: Job, was: JobState | None, *, now: dt.datetime, who: str, why: str) -> None:
    """The event row, and the message that says so."""
    tx.add(
        Event(
            job_id=job.id,
            version=job.version,
            org_id=job.org_id,
            from_state=was,
            to_state=job.state,
            who=who,
            why=why,
            at=now,
        )
    )
    event = JobEvent(
        job=JobId(job.id),
        version=job.version,
        state=job.state,
        at=now,
        code=job.failure_code,
        removed=job.removed_at is not None,
    )
    outbox.put_event(tx, job.org_id, event, job.correlation_id)

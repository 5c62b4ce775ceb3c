"""A torrent that is blocked: its transfer and all jobs that hold it fail, and whatever it has stored goes."""

import datetime as dt
from uuid import UUID

from sqlalchemy import delete, select, update

from control.db import Tx
from control.jobs import follow
from control.jobs.model import Job
from control.torrents.blocklist import BLOCKED
from control.torrents.model import Block, Torrent
from control.transfers import moves
from control.transfers.leftovers import bury
from control.transfers.model import Object, Transfer
from wire.states import JOB_ACTIVE, Intent, JobState, TransferState


async def end(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str) -> UUID | None:
    """`transfer` is locked by the caller, after its torrent. Which agent should hear of it."""
    agent, was = transfer.agent_id, transfer.state
    await tx.execute(delete(Object).where(Object.transfer_id == transfer.id))  # their parts with them
    await bury(tx, transfer, now)
    transfer.go, transfer.down_bytes, transfer.stored_bytes = False, 0, 0
    transfer.dead_at = None
    await _wake(tx, transfer)
    transfer.failure_code, transfer.failure_detail = BLOCKED.code, await _why(tx, transfer)
    if was is not TransferState.FAILED:
        await moves.move(tx, transfer, TransferState.FAILED, now=now, who=who, why=BLOCKED.code)
    else:
        await follow.jobs_of(tx, transfer, now=now, who=who, why=BLOCKED.code)
    completed = select(Job).where(Job.transfer_id == transfer.id, Job.state == JobState.COMPLETED)
    for job in (await tx.scalars(completed.order_by(Job.id).with_for_update(key_share=True))).all():
        job.data_kept = False
        await follow.one(tx, job, transfer, now=now, who=who, why=BLOCKED.code, holder=agent)
    return agent


async def _why(tx: Tx, transfer: Transfer) -> str:
    """With the case that it is for: whoever is hit may answer that."""
    case = select(Block.case_id).join(Torrent, (Torrent.v1 == Block.hash) | (Torrent.v2 == Block.hash))
    of_it = case.where(Torrent.id == transfer.torrent_id, Block.case_id.is_not(None))
    found = await tx.scalar(of_it.order_by(Block.hash).limit(1))
    return f"{BLOCKED.detail} It is takedown case {found}." if found is not None else BLOCKED.detail


async def _wake(tx: Tx, transfer: Transfer) -> None:
    """A job that is paused stays paused whatever becomes of its transfer; nothing will ever resume this one."""
    waiting = update(Job).where(
        Job.transfer_id == transfer.id, Job.state.in_(JOB_ACTIVE), Job.intent.in_((Intent.PAUSE, Intent.CHOOSE))
    )
    await tx.execute(waiting.values(intent=Intent.RUN).execution_options(synchronize_session="fetch"))

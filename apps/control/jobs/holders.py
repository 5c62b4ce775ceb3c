"""A transfer wants what its holders want: worked out here, from its jobs, whenever one of them changes its mind."""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import exists, func, select

from control.db import Tx
from control.errors import BadInput
from control.jobs import follow, quota, selection
from control.jobs.model import Job, holds_data
from control.plans import allowance
from control.speed import loosest
from control.transfers import moves, release, spec
from control.transfers.model import Transfer, at_work
from wire.ids import OrgId
from wire.messages import Failure, Steer
from wire.states import (
    JOB_ACTIVE,
    ON_AGENT,
    PRIORITIES,
    TRANSFER_ENDED,
    WANTS_AGENT,
    Intent,
    JobState,
    Priority,
    TransferState,
    strongest,
)  # fmt: skip


class Holder(Struct, frozen=True):
    intent: Intent
    state: JobState
    files: list[int] | None
    priority: Priority
    sequential: bool
    down_max: int
    up_max: int


async def settle(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> UUID | None:
    """`transfer` is locked by the caller, who says which agent should look again."""
    await tx.flush()
    holders = await _holders(tx, transfer)
    before = transfer.intent
    transfer.intent = strongest(holder.intent for holder in holders if holder.state in JOB_ACTIVE)
    transfer.paused_at = (transfer.paused_at or now) if transfer.intent is Intent.PAUSE else None
    await _join(tx, transfer, holders)
    agent = transfer.agent_id
    match transfer.intent:
        case Intent.RUN if transfer.state is TransferState.STORED and await _lacks_some(tx, transfer):
            await release.from_the_top(tx, transfer, now=now, who=who, why=why)
        case _ if transfer.state in TRANSFER_ENDED:
            return None
        case Intent.STOP if transfer.state not in ON_AGENT:  # where there is an agent, it lets go by itself
            await moves.move(tx, transfer, TransferState.STOPPED, now=now, who=who, why=why)
        case Intent.PAUSE if transfer.state is TransferState.OFFERED:
            await moves.move(tx, transfer, TransferState.WAITING, now=now, who=who, why=why)
        case Intent.RUN | Intent.CHOOSE if before is Intent.PAUSE:
            await _take_up(tx, transfer, now=now, who=who, why=why)
    return agent


async def allow(tx: Tx, transfer: Transfer, now: dt.datetime, *, had: int = 0) -> None:
    """Leave to download what is wanted of it, if that is known yet. The caller holds the organisation's lock. What was
    set aside for it before, `had`, stays so under limits that have become smaller."""
    if transfer.size_bytes is None:
        return
    if transfer.size_bytes > had and (lack := await quota.why_not(tx, transfer, now)) is not None:
        raise lack
    transfer.go = True


async def let_go(tx: Tx, transfer: Transfer) -> None:
    """A job that held what it stored does so no more: does any? Else it counts no longer, and is purged."""
    await tx.flush()
    transfer.held = bool(await tx.scalar(select(exists().where(Job.transfer_id == transfer.id, holds_data()))))


async def metadata_known(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str) -> Failure | None:
    """What was chosen in the dark is looked at, and whoever wanted to choose first is waited for."""
    active = select(Job).where(Job.transfer_id == transfer.id, Job.state.in_(JOB_ACTIVE))
    jobs = (await tx.scalars(active.order_by(Job.id).with_for_update(key_share=True))).all()
    for job in jobs:
        try:
            chosen = await selection.check(tx, transfer.torrent_id, await files_of(tx, job))
        except BadInput as bad:
            return Failure(bad.code, bad.detail, retryable=False)
        job.files, job.wanted_bytes = chosen.files, chosen.bytes
        if job.intent is Intent.CHOOSE:
            job.intent = Intent.PAUSE
    await settle(tx, transfer, now=now, who=who, why="metadata")
    if transfer.intent is Intent.PAUSE:
        await follow.jobs_of(tx, transfer, now=now, who=who, why="to_be_chosen")
    return None


async def files_of(tx: Tx, job: Job) -> list[int] | None:
    return await tx.scalar(select(Job.files).where(Job.id == job.id))


async def _holders(tx: Tx, transfer: Transfer) -> list[Holder]:
    over = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)
    rows = await tx.execute(
        select(Job.intent, Job.state, Job.files, Job.priority, Job.sequential, Job.down_max, Job.up_max).where(
            Job.transfer_id == transfer.id, holds_data(), Job.intent != Intent.STOP, Job.state.not_in(over)
        )
    )
    return [Holder(*row) for row in rows.all()]


async def _join(tx: Tx, transfer: Transfer, holders: Iterable[Holder]) -> None:
    """What is stored for somebody stays wanted. What is paused is not fetched, unless nothing else runs anyway."""
    stored = [holder for holder in holders if holder.state is JobState.COMPLETED]
    active = [holder for holder in holders if holder.state in JOB_ACTIVE]
    going = [holder for holder in active if holder.intent in WANTS_AGENT] or active
    if not stored and not going:
        return
    transfer.priority = max((PRIORITIES.index(each.priority) for each in going), default=transfer.priority)
    steer = Steer(
        files=selection.union(each.files for each in stored + going),
        sequential=any(each.sequential for each in going),
        down_max=loosest(each.down_max for each in going),
        up_max=loosest(each.up_max for each in going),
        announces=transfer.announces,
        gives=transfer.gives,
    )
    if steer != replace((await spec.steers(tx, [transfer.id]))[transfer.id], rev=0):
        transfer.files, transfer.sequential = steer.files, steer.sequential
        transfer.down_max, transfer.up_max = steer.down_max, steer.up_max
        transfer.steer_rev += 1
        transfer.done = False  # said of what was wanted before
    if transfer.size_bytes is not None:
        transfer.size_bytes = (await selection.check(tx, transfer.torrent_id, steer.files)).bytes
    await tx.flush()


async def _lacks_some(tx: Tx, transfer: Transfer) -> bool:
    running = select(Job).where(Job.transfer_id == transfer.id, Job.state.in_(JOB_ACTIVE), Job.intent == Intent.RUN)
    return not all([await selection.is_complete(tx, job) for job in (await tx.scalars(running)).all()])


async def _take_up(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """Goes on where it lies, if its organisation has a slot left; else it waits for one like any other."""
    transfer.tries, transfer.not_before = 0, None
    if transfer.state in ON_AGENT and await _slots_taken(tx, transfer):
        await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)


async def _slots_taken(tx: Tx, transfer: Transfer) -> bool:
    others = select(func.count()).where(Transfer.scope_id == transfer.scope_id, Transfer.id != transfer.id, at_work())
    allowed = (await allowance.of(tx, OrgId(transfer.scope_id))).limits.active
    return int(await tx.scalar(others) or 0) >= allowed

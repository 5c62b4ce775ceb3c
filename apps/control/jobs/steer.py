"""Verbs on a job that is there: pause, resume, cancel, retry, change, announce, remove.

Each changes what the job wants; its transfer then takes its intent from all its jobs (`jobs.holders`), and its agent
hears of it with its next sync, which a nudge makes at once.
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct, UnsetType
from sqlalchemy import select

from control import speed
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import Conflict
from control.jobs import follow, holders, quota, selection
from control.jobs import service as jobs
from control.jobs.model import Job, is_kept
from control.jobs.schemas import EditJob
from control.jobs.service import Whole
from control.torrents import blocklist
from control.torrents.model import Torrent
from control.torrents.sent import tidy, tidy_name
from control.transfers import model as transfers
from control.transfers import release
from control.transfers.leftovers import forget_unwanted
from control.transfers.model import Transfer
from wire.ids import OrgId
from wire.states import EXPIRES, JOB_ACTIVE, Intent, JobAction, JobState, TransferState, job_actions

PLAIN = ("priority", "sequential", "down_max", "up_max")
"""Fields that are taken as they are said."""


class Steered(Struct, frozen=True):
    whole: Whole
    agent: UUID | None
    """Should be told to look again."""


async def pause(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """Its slot is free at once. What is stored stays stored, and for a while its agent keeps what it has."""
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.PAUSE)
    whole.job.intent = Intent.PAUSE
    return await _settled(tx, whole, actor, "paused", now)


async def resume(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    await quota.lock(tx, org)
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.RESUME)
    whole.job.intent = Intent.RUN
    return await _settled(tx, whole, actor, "resumed", now)


async def hold(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """Whoever it belongs to was suspended: paused, and what it wanted is kept."""
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.PAUSE)
    whole.job.held_intent, whole.job.intent = whole.job.intent, Intent.PAUSE
    return await _settled(tx, whole, actor, "suspended", now)


async def let_go(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """Wants again what it wanted, unless somebody has said otherwise since."""
    await quota.lock(tx, org)
    whole = await jobs.locked(tx, org, job_id)
    wanted, whole.job.held_intent = whole.job.held_intent, None
    if wanted is None or whole.job.state is not JobState.PAUSED:
        return Steered(whole, None)
    whole.job.intent = wanted
    return await _settled(tx, whole, actor, "unsuspended", now)


async def cancel(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """The job is cancelled at once. Its transfer stops with it, unless somebody else wants it too."""
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.CANCEL)
    whole.job.intent = Intent.STOP
    return await _settled(tx, whole, actor, "cancelled", now)


async def retry(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """The same job once more, from what is still stored, with all its tries."""
    await quota.lock(tx, org)
    seen = await jobs.get(tx, org, job_id)
    _check(seen.job, JobAction.RETRY)
    await blocklist.check(tx, seen.torrent.v1, seen.torrent.v2)
    await tx.execute(select(Torrent.id).where(Torrent.id == seen.torrent.id).with_for_update(key_share=True))
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.RETRY)
    await _alone(tx, org, whole)
    await quota.check_open(tx, org)
    whole.job.intent = Intent.CHOOSE if whole.job.intent is Intent.CHOOSE else Intent.RUN
    await jobs.give_up_failed(tx, whole.transfer, but=whole.job.id)
    await jobs.take_up(tx, whole.transfer, whole.torrent, actor, "retried", now)
    await follow.one(tx, whole.job, whole.transfer, now=now, who=actor.name, why="retried")
    return await _settled(tx, whole, actor, "retried", now, anew=True)


async def edit(tx: Tx, org: OrgId, job_id: UUID, asked: EditJob, actor: Actor, now: dt.datetime) -> Steered:
    """All that is asked for, or nothing."""
    await quota.lock(tx, org)
    whole = await jobs.locked(tx, org, job_id)
    job = whole.job
    if not isinstance(asked.files, UnsetType):
        _check(job, JobAction.CHOOSE)
        await _choose(tx, org, whole, tidy(asked.files), actor, now)
    if not isinstance(asked.name, UnsetType):
        job.name = tidy_name(asked.name)
    for field in PLAIN:
        if not isinstance(value := getattr(asked, field), UnsetType):
            setattr(job, field, value)
    speed.check(job.down_max, job.up_max)
    job.updated_at = now
    job.version += 1
    follow.tell(tx, follow.told(job, job.state, now=now, who=actor.name, why="edited"))
    return await _settled(tx, whole, actor, "edited", now)


async def reannounce(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> Steered:
    """Trackers are asked for peers now."""
    whole = await jobs.locked(tx, org, job_id)
    _check(whole.job, JobAction.REANNOUNCE)
    whole.transfer.announces += 1
    whole.transfer.steer_rev += 1
    return await _settled(tx, whole, actor, "reannounced", now)


async def _choose(tx: Tx, org: OrgId, whole: Whole, files: list[int] | None, actor: Actor, now: dt.datetime) -> None:
    """What is stored already stays wanted, until the job is removed."""
    job, transfer = whole.job, whole.transfer
    if transfer.size_bytes is None:
        job.files = files
        return
    stored = await selection.stored_of(tx, job) if files is not None else []
    chosen = await selection.check(tx, transfer.torrent_id, selection.union([files, stored]))
    job.files, job.wanted_bytes = chosen.files, chosen.bytes
    if job.state is not JobState.COMPLETED or await selection.is_complete(tx, job):
        return
    await _alone(tx, org, whole)
    if transfer.state is TransferState.STORED:
        await release.from_the_top(tx, transfer, now=now, who=actor.name, why="edited")
    await follow.one(tx, job, transfer, now=now, who=actor.name, why="edited")


async def remove(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime, *, keep_data: bool) -> None:
    """Off the list; what only it held in the store is purged, or kept for whoever asks for the torrent again."""
    whole = await jobs.locked(tx, org, job_id)
    job, transfer = whole.job, whole.transfer
    if JobAction.REMOVE not in job_actions(job.state):
        raise Conflict("This job has not ended: cancel it first.", code="job_active")
    if keep_data and job.state is not JobState.COMPLETED:
        raise Conflict(f"This job is {job.state}: only what is completed can be kept.", code="nothing_to_keep")
    job.data_kept = keep_data
    job.removed_at = job.updated_at = now
    job.version += 1
    follow.tell(tx, follow.told(job, job.state, now=now, who=actor.name, why="removed"))
    await _let_go(tx, transfer, actor, "removed", now)
    before = {"name": job.name, "state": job.state}
    await audit.record(tx, actor, "job.removed", f"job:{job.id}", now, before=before, data_kept=keep_data)


async def expire(tx: Tx, org: OrgId, job_id: UUID, actor: Actor, now: dt.datetime) -> bool:
    """Its time is over, also of what was removed and its data kept. False: that has changed meanwhile."""
    seen = await tx.scalar(select(Job.transfer_id).where(Job.id == job_id, Job.org_id == org))
    transfer = await transfers.locked(tx, seen) if seen is not None else None
    over = select(Job).where(Job.id == job_id, Job.expires_at <= now, Job.state.in_(EXPIRES), is_kept())
    job = await tx.scalar(over.with_for_update(key_share=True).execution_options(populate_existing=True))
    if transfer is None or job is None:
        return False
    before = {"name": job.name, "state": job.state}
    follow.expire(tx, job, now=now, who=actor.name)
    await _let_go(tx, transfer, actor, "expired", now)
    await audit.record(tx, actor, "job.expired", f"job:{job.id}", now, before=before)
    return True


async def _let_go(tx: Tx, transfer: Transfer, actor: Actor, why: str, now: dt.datetime) -> None:
    """One job less holds what the transfer stored."""
    await holders.let_go(tx, transfer)
    if transfer.state is TransferState.STORED:
        await holders.settle(tx, transfer, now=now, who=actor.name, why=why)
        await forget_unwanted(tx, transfer, now)


async def _settled(tx: Tx, whole: Whole, actor: Actor, verb: str, now: dt.datetime, *, anew: bool = False) -> Steered:
    """`anew`: it had ended, and nothing is set aside for it any more."""
    job, transfer, before = whole.job, whole.transfer, whole.job.state
    had = transfer.size_bytes or 0 if transfer.go and not anew else 0
    agent = await holders.settle(tx, transfer, now=now, who=actor.name, why=verb)
    await follow.one(tx, job, transfer, now=now, who=actor.name, why=verb)
    if job.intent is Intent.RUN and job.state in JOB_ACTIVE:
        await holders.allow(tx, transfer, now, had=had)  # only now is it known how much is wanted
    await audit.record(tx, actor, f"job.{verb}", f"job:{job.id}", now, before=before)
    await tx.flush()
    return Steered(whole, agent)


async def _alone(tx: Tx, org: OrgId, whole: Whole) -> None:
    if await jobs.active(tx, org, whole.torrent) is not None:
        raise Conflict("Another job of this organisation asks for the same torrent.", code="already_active")


def _check(job: Job, action: JobAction) -> None:
    if action in job_actions(job.state):
        return
    code = "job_ended" if action is JobAction.CANCEL else f"cannot_{action}"
    raise Conflict(f"This job is {job.state}: it cannot be {_PAST[action]} now.", code=code)


_PAST = {
    JobAction.PAUSE: "paused",
    JobAction.RESUME: "resumed",
    JobAction.CANCEL: "cancelled",
    JobAction.RETRY: "tried again",
    JobAction.CHOOSE: "changed",
    JobAction.REANNOUNCE: "announced",
}

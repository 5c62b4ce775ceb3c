"""Loop `expire`: what is completed stays as long as its organisation's plan says, and then leaves the store.

    completed | failed ──► its date is near: the organisation is told ──► expired ──► `purge`; a month on, off the list
A plan that keeps for longer moves the dates at once; one that keeps for less leaves a week to act.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, case, cast, extract, func, select, text, update

from control.accounts import members, organisations
from control.accounts.model import Organisation
from control.audit.service import Actor
from control.errors import NotFound
from control.jobs import follow, steer
from control.jobs.model import Job, is_kept
from control.loops import driver
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from control.plans import allowance
from control.plans.model import Plan, Quota
from telemetry import logs
from wire.ids import OrgId
from wire.states import EXPIRES, JobState
from wire.units import DAY_S

log = logs.get(__name__)

WHO = "loop:expire"
GRACE_S = 7 * DAY_S
"""Of a plan that keeps for less: who downloads it all by then loses nothing."""
WARNED_S = 3 * DAY_S
"""Before the date; or a third of the time that it was kept, if that is less."""
AHEAD_S = DAY_S
"""What is due by tomorrow is in today's mail: one a day is enough."""
SHOWN_S = 30 * DAY_S
"""An expired job stays on the list for so long."""
ORGANISATIONS_AT_ONCE = 20
JOBS_AT_ONCE = 100
TOLD_MAX = 500
"""Jobs of one mail; the others come with the next step."""

_FOLLOW = text(
    """
    UPDATE jobs SET expires_at = fresh.at,
      expiry_warned_at = CASE WHEN fresh.at < jobs.expires_at THEN expiry_warned_at END
    FROM (
      SELECT id, CASE
        WHEN CAST(:days AS integer) IS NULL THEN NULL
        ELSE greatest(ended_at + make_interval(days => CAST(:days AS integer)),
          least(coalesce(expires_at, 'infinity'), CAST(:soonest AS timestamptz)))
        END AS at
      FROM jobs WHERE org_id = :org AND state IN ('completed', 'failed')
    ) fresh
    WHERE jobs.id = fresh.id AND jobs.expires_at IS DISTINCT FROM fresh.at
    """
)


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "expire"):
            return False
        changed = list(await tx.scalars(_kept_otherwise().limit(ORGANISATIONS_AT_ONCE)))
        near = list(await tx.scalars(_due_for_warning(now).limit(ORGANISATIONS_AT_ONCE)))
    for org in changed:
        await _follow_plan(plane, org, now)
    if len(changed) == ORGANISATIONS_AT_ONCE:
        return True  # nothing is told or ends by a date that may be about to move
    for org in near:
        await _warn(plane, org, now)
    async with plane.working() as tx:
        over = (await tx.execute(_over(now).limit(JOBS_AT_ONCE))).all()
        old = (await tx.execute(_shown_long_enough(now).limit(JOBS_AT_ONCE))).all()
    for org, job in over:
        await _expire(plane, org, job, now)
    for org, job in old:
        with suppress(NotFound):  # a member was faster
            async with plane.working() as tx:
                await steer.remove(tx, OrgId(org), job, Actor(name=WHO, org=org), now, keep_data=False)
    if over or old:
        await plane.nudge("purge")
    return JOBS_AT_ONCE in (len(over), len(old)) or len(near) == ORGANISATIONS_AT_ONCE


def _kept_otherwise() -> Select[UUID]:
    """Organisations whose jobs' dates were reckoned with another number of days."""
    own = cast(func.jsonb_extract_path_text(Quota.own, "kept_days"), Integer)
    days = case((func.jsonb_exists(Quota.own, "kept_days"), own), else_=Plan.kept_days)
    kept = select(Quota.org_id).join(Plan, Plan.name == Quota.plan)
    return kept.where(Quota.kept_days.is_distinct_from(days)).order_by(Quota.org_id)


async def _follow_plan(plane: Plane, org: UUID, now: datetime) -> None:
    async with plane.working() as tx:
        await organisations.lock(tx, OrgId(org))
        days = (await allowance.of(tx, OrgId(org))).limits.kept_days
        await tx.execute(_FOLLOW, {"org": org, "days": days, "soonest": now + timedelta(seconds=GRACE_S)})
        await tx.execute(update(Quota).where(Quota.org_id == org).values(kept_days=days))
    log.info("retention.changed", organisation=str(org), kept_days=days)


def _warned_from(now: datetime) -> ColumnElement[bool]:
    """Near enough: the shorter of three days, and a third of the time that it was kept."""
    kept_s, left_s = extract("epoch", Job.expires_at - Job.ended_at), extract("epoch", Job.expires_at - now)
    near = (Job.expires_at <= now + timedelta(seconds=WARNED_S)) & (left_s <= kept_s / 3)
    return near & Job.expiry_warned_at.is_(None) & Job.state.in_(EXPIRES) & is_kept()


def _due_for_warning(now: datetime) -> Select[UUID]:
    return select(Job.org_id).where(_warned_from(now)).group_by(Job.org_id).order_by(Job.org_id)


async def _warn(plane: Plane, org: UUID, now: datetime) -> None:
    """By mail to who is in charge, and in each job's own timeline."""
    async with plane.working() as tx:
        due = select(Job).where(Job.org_id == org, _warned_from(now + timedelta(seconds=AHEAD_S)))
        jobs = (await tx.scalars(due.order_by(Job.expires_at).limit(TOLD_MAX).with_for_update(key_share=True))).all()
        for job in jobs:
            job.expiry_warned_at = now
            if job.removed_at is None:
                job.version += 1
                follow.tell(tx, follow.told(job, job.state, now=now, who=WHO, why="expires_soon"))
        name = await tx.scalar(select(Organisation.name).where(Organisation.id == org))
        if name is None or not jobs:
            return
        told = letters.expires_soon(name, [(job.name, job.expires_at) for job in jobs if job.expires_at is not None])
        for email, person in await members.in_charge(tx, OrgId(org)):
            await mails.queue(tx, plane.settings.vault, email, told, person, now)
    await plane.nudge("mail")
    log.info("retention.warned", organisation=str(org), jobs=len(jobs))


def _over(now: datetime) -> Select[UUID, UUID]:
    over = select(Job.org_id, Job.id).where(Job.expires_at <= now, Job.state.in_(EXPIRES), is_kept())
    return over.order_by(Job.expires_at)


async def _expire(plane: Plane, org: UUID, job: UUID, now: datetime) -> None:
    async with plane.working() as tx:
        if await steer.expire(tx, OrgId(org), job, Actor(name=WHO, org=org), now):
            log.info("job.expired", job=str(job))


def _shown_long_enough(now: datetime) -> Select[UUID, UUID]:
    before = now - timedelta(seconds=SHOWN_S)
    shown = (Job.state == JobState.EXPIRED) & Job.removed_at.is_(None) & (Job.updated_at < before)
    return select(Job.org_id, Job.id).where(shown).order_by(Job.updated_at)

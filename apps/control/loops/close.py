"""Loop `close`: what a deleted organisation had comes to an end.

    its jobs are cancelled and taken off the list ──► `purge` empties the store ──► its last rows go, and its own
A job that was added while somebody deleted the organisation is seen here like all others.
"""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select

from control.accounts.model import Organisation
from control.audit import service as audit
from control.audit.service import Actor
from control.errors import NotFound
from control.jobs import service as jobs
from control.jobs import steer
from control.jobs.model import Job
from control.loops import driver
from control.plane import Plane
from control.torrents.model import Torrent
from control.transfers.model import Tombstone, Transfer
from telemetry import logs
from wire.ids import OrgId
from wire.states import JobAction, job_actions

log = logs.get(__name__)

ORGANISATIONS_AT_ONCE = 20
JOBS_AT_ONCE = 50
"""Of each; the others come with the next step, at once."""


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "close"):
            return False
        deleted = select(Organisation.id).where(Organisation.deleted_at.is_not(None))
        closing = list(await tx.scalars(deleted.order_by(Organisation.deleted_at).limit(ORGANISATIONS_AT_ONCE)))
    ended = [await _end_jobs(plane, OrgId(org), now) for org in closing]
    if any(ended):
        await plane.nudge("purge")
    for org in closing:
        await _forget(plane, org, now)
    return JOBS_AT_ONCE in ended


async def _end_jobs(plane: Plane, org: OrgId, now: datetime) -> int:
    async with plane.working() as tx:
        listed = select(Job.id).where(Job.org_id == org, Job.removed_at.is_(None)).order_by(Job.id)
        some = list(await tx.scalars(listed.limit(JOBS_AT_ONCE)))
    for job in some:
        with suppress(NotFound):  # whoever was deleting it when the organisation went
            await _end_job(plane, org, job, now)
    return len(some)


async def _end_job(plane: Plane, org: OrgId, job: UUID, now: datetime) -> None:
    agent, actor = None, Actor(name="loop:close", org=org)
    async with plane.working() as tx:
        whole = await jobs.get(tx, org, job)
        if JobAction.CANCEL in job_actions(whole.job.state):
            agent = (await steer.cancel(tx, org, job, actor, now)).agent
        await steer.remove(tx, org, job, actor, now, keep_data=False)
    if agent is not None:
        await plane.nudge_agent(agent)


async def _forget(plane: Plane, org: UUID, now: datetime) -> None:
    """Keys, invitations and kept answers go with the row; the log of audit stays."""
    left = (
        exists().where(Job.org_id == org)
        | exists().where(Transfer.scope_id == org)
        | exists().where(Tombstone.scope_id == org)
    )
    async with plane.working() as tx:
        row = await tx.scalar(select(Organisation).where(Organisation.id == org).with_for_update())
        if row is None or await tx.scalar(select(left)):
            return
        await tx.execute(delete(Torrent).where(Torrent.scope_id == org))
        await tx.delete(row)
        await audit.record(tx, Actor(name="loop:close", org=org), "organisation.ended", f"organisation:{org}", now)
    log.info("organisation.ended", organisation=str(org))

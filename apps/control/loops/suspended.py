"""Loop `suspended`: jobs of who is suspended are paused, and go on when he is not any more.

    suspended ──► paused, what they wanted is kept in `held_intent` ──► let in again ──► they want it again
An organisation's jobs stay so. Those that a person asked for others of the organisation may resume: it is theirs too.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select, union, update

from control.accounts.model import Organisation, Person
from control.audit.service import Actor
from control.db import Tx
from control.errors import NotFound, Refusal
from control.jobs import steer
from control.jobs.model import Job
from control.jobs.steer import Steered
from control.loops import driver
from control.plane import Plane
from telemetry import logs
from wire.ids import OrgId
from wire.states import JOB_ACTIVE, WANTS_AGENT

log = logs.get(__name__)

AT_ONCE = 100
_JOBS = select(Job.org_id, Job.id).where(Job.removed_at.is_(None))
_AT_WORK = _JOBS.where(Job.state.in_(JOB_ACTIVE), Job.intent.in_(WANTS_AGENT))
_ORG, _PERSON = Organisation.id == Job.org_id, Person.id == Job.person_id

TO_HOLD = union(
    _AT_WORK.join(Organisation, _ORG).where(Organisation.suspended_at.is_not(None)),
    _AT_WORK.join(Person, _PERSON).where(Person.suspended_at.is_not(None), Job.held_intent.is_(None)),
).limit(AT_ONCE)
TO_LET_GO = (
    _JOBS.join(Organisation, _ORG)
    .join(Person, _PERSON)
    .where(Job.held_intent.is_not(None), Organisation.suspended_at.is_(None), Person.suspended_at.is_(None))
    .limit(AT_ONCE)
)

Verb = Callable[[Tx, OrgId, UUID, Actor, datetime], Awaitable[Steered]]


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "suspended"):
            return False
        to_hold = (await tx.execute(TO_HOLD)).all()
        to_let_go = (await tx.execute(TO_LET_GO)).all()
    for row in to_hold:
        await _turn(plane, row, steer.hold, now)
    for row in to_let_go:
        if not await _turn(plane, row, steer.let_go, now):
            await _leave_paused(plane, row)
    if to_let_go:
        await plane.nudge("dispatch")
    return AT_ONCE in (len(to_hold), len(to_let_go))


async def _turn(plane: Plane, row: "Row[UUID, UUID]", verb: Verb, now: datetime) -> bool:
    """False: it cannot be done, as for want of room. Each is a transaction of its own."""
    org, job = OrgId(row[0]), row[1]
    try:
        async with plane.working() as tx:
            done = await verb(tx, org, job, Actor(name="loop:suspended", org=org), now)
    except NotFound:
        return True  # removed a moment ago
    except Refusal as refusal:
        log.info("job.not_turned", job=str(job), code=refusal.code)
        return False
    if done.agent is not None:
        await plane.nudge_agent(done.agent)
    return True


async def _leave_paused(plane: Plane, row: "Row[UUID, UUID]") -> None:
    """Its quota was spent by others meanwhile: a member may resume it once there is room."""
    async with plane.working() as tx:
        await tx.execute(update(Job).where(Job.id == row[1]).values(held_intent=None))

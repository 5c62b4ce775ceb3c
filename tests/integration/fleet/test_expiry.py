"""What is completed stays as long as the plan says: its date is shown, moved with the plan, told before, and kept."""

import datetime as dt

import pytest
from sqlalchemy import select

from control.accounts.model import Member, Person
from control.accounts.permissions import OrgRole
from control.audit.service import Actor
from control.errors import Conflict
from control.jobs import service as jobs
from control.jobs import steer
from control.jobs.model import Event, Job
from control.jobs.schemas import EditJob
from control.jobs.views import view
from control.loops import expire, finish, purge
from control.mail.model import Mail
from control.plane import Plane
from control.plans import service as plans
from control.plans.limits import OwnLimits
from control.transfers.model import Transfer
from tests.integration.fleet.test_reservations import NOTHING, counted
from tests.support.fleet import Wanted, add_transfer, claimed, read_job, read_object, read_objects, read_transfer
from wire.clock import utcnow
from wire.messages import Failure
from wire.states import Intent, JobAction, JobState, TransferState

ACTOR = Actor(name="person:tests")
DAY = dt.timedelta(days=1)


async def keep_for(plane: Plane, wanted: Wanted, days: int | None) -> None:
    async with plane.working() as tx:
        await plans.set_own(tx, wanted.org, OwnLimits(kept_days=days), "A test.", ACTOR, utcnow())


async def completed(plane: Plane, days: int | None, *sizes: int) -> Wanted:
    wanted, agent = await claimed(plane, *(sizes or (10, 20)))
    await keep_for(plane, wanted, days)
    _, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    return wanted


async def date(plane: Plane, wanted: Wanted) -> dt.timedelta | None:
    """How long after its end it expires."""
    job = await read_job(plane, wanted.job)
    assert job.ended_at is not None
    return job.expires_at - job.ended_at if job.expires_at else None


async def everything(plane: Plane, now: dt.datetime) -> None:
    """Until the loop has nothing more to do."""
    while await expire.step(plane, now):
        pass


async def test_a_completed_job_has_its_date_and_so_have_its_files(plane: Plane) -> None:
    wanted = await completed(plane, 7)
    assert await date(plane, wanted) == 7 * DAY
    async with plane.working() as tx:
        whole = await jobs.get(tx, wanted.org, wanted.job)
        files = await jobs.files(tx, wanted.org, wanted.job, -1, 10)
    assert view(whole).expires_at == whole.job.expires_at
    assert [row.expires_at for row in files] == [whole.job.expires_at] * 2
    assert await date(plane, await completed(plane, None)) is None


async def test_what_has_expired_leaves_the_store_and_stays_on_the_list(plane: Plane) -> None:
    wanted = await completed(plane, 7)
    keys = [row.key for row in await read_objects(plane, wanted.transfer)]
    now = utcnow()
    await everything(plane, now + 6 * DAY)
    await purge.step(plane, now + 6 * DAY)
    assert await read_object(plane.store, keys[0])
    await everything(plane, now + 8 * DAY)
    job = await read_job(plane, wanted.job)
    assert (job.state, job.intent) == (JobState.EXPIRED, Intent.STOP)
    assert await counted(plane, wanted.org) == NOTHING
    for _ in range(2):
        await purge.step(plane, now + 8 * DAY)
    assert await read_objects(plane, wanted.transfer) == []
    assert [await plane.store.head(key) for key in keys] == [None, None]
    async with plane.working() as tx:
        shown = view(await jobs.get(tx, wanted.org, wanted.job))
    assert (shown.state, shown.actions) == (JobState.EXPIRED, [JobAction.REMOVE])
    await everything(plane, now + 39 * DAY)
    await purge.step(plane, now + 39 * DAY)
    async with plane.working() as tx:
        assert await tx.get(Job, wanted.job) is None
        assert await tx.get(Transfer, wanted.transfer) is None


async def test_a_failed_job_expires_with_what_it_had_stored(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20)
    await keep_for(plane, wanted, 7)
    _, files = await agent.put_everything(wanted)
    broken = Failure("bad", "Bad.", retryable=False)
    await agent.sync(agent.report(wanted.transfer, files=files[:1], failure=broken))
    assert await date(plane, wanted) == 7 * DAY
    async with plane.working() as tx:
        await steer.retry(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert (await read_job(plane, wanted.job)).expires_at is None, "it is under way again"
    async with plane.working() as tx:
        await steer.cancel(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert (await read_job(plane, wanted.job)).expires_at is None


async def test_the_objects_go_with_the_last_job_that_holds_them(plane: Plane) -> None:
    wanted = await completed(plane, 7)
    other = await add_transfer(plane, 1, org=wanted.org)
    async with plane.working() as tx:
        second = await tx.get_one(Job, other.job)
        second.transfer_id, second.torrent_id = wanted.transfer, wanted.torrent
        second.state, second.ended_at = JobState.COMPLETED, utcnow()
        second.expires_at = utcnow() + 20 * DAY
    now = utcnow()
    await everything(plane, now + 8 * DAY)
    await purge.step(plane, now + 8 * DAY)
    assert (await read_job(plane, wanted.job)).state is JobState.EXPIRED
    assert len(await read_objects(plane, wanted.transfer)) == 2
    await everything(plane, now + 21 * DAY)
    await purge.step(plane, now + 21 * DAY)
    assert await read_objects(plane, wanted.transfer) == []


async def test_data_that_was_kept_expires_too(plane: Plane) -> None:
    wanted = await completed(plane, 7)
    async with plane.working() as tx:
        await steer.remove(tx, wanted.org, wanted.job, ACTOR, utcnow(), keep_data=True)
    await everything(plane, utcnow() + 8 * DAY)
    await purge.step(plane, utcnow() + 8 * DAY)
    async with plane.working() as tx:
        assert await tx.get(Transfer, wanted.transfer) is None


async def test_a_larger_plan_moves_the_dates_and_a_smaller_one_leaves_a_week(plane: Plane) -> None:
    wanted, now = await completed(plane, 7), utcnow()
    await keep_for(plane, wanted, 30)
    await everything(plane, now)
    assert await date(plane, wanted) == 30 * DAY
    await keep_for(plane, wanted, 1)
    await everything(plane, now)
    left = await date(plane, wanted)
    assert left is not None
    assert 7 * DAY <= left < 8 * DAY
    await keep_for(plane, wanted, None)
    await everything(plane, now)
    assert await date(plane, wanted) is None
    await everything(plane, now + 999 * DAY)
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_who_is_in_charge_is_told_once_before(plane: Plane) -> None:
    wanted, now = await completed(plane, 9), utcnow()
    async with plane.working() as tx:
        owner = (await read_job(plane, wanted.job)).person_id
        tx.add(Member(org_id=wanted.org, person_id=owner, role=OrgRole.OWNER, joined_at=now))
        email = await tx.scalar(select(Person.email).where(Person.id == owner))

    async def mails() -> list[str]:
        async with plane.working() as tx:
            return list(await tx.scalars(select(Mail.subject).where(Mail.recipient == email)))

    await everything(plane, now + 5 * DAY)
    assert await mails() == []
    for _ in range(2):
        await everything(plane, now + 6 * DAY + dt.timedelta(minutes=1))
    assert await mails() == ["One of your jobs expires soon"]
    async with plane.working() as tx:
        said = await tx.scalars(select(Event.why).where(Event.job_id == wanted.job).order_by(Event.version.desc()))
        assert said.first() == "expires_soon"
    await keep_for(plane, wanted, 30)
    await everything(plane, now + 6 * DAY)
    await everything(plane, now + 28 * DAY)
    assert len(await mails()) == 2, "another date is told again"


async def test_what_has_expired_stays_so_whatever_is_done_to_it(plane: Plane) -> None:
    wanted, now = await completed(plane, 7), utcnow()
    await everything(plane, now + 8 * DAY)
    async with plane.working() as tx:
        named = await steer.edit(tx, wanted.org, wanted.job, EditJob(name="mine"), ACTOR, now)
    assert (named.whole.job.name, named.whole.job.state) == ("mine", JobState.EXPIRED)
    for verb in (steer.retry, steer.resume, steer.cancel):
        with pytest.raises(Conflict):
            async with plane.working() as tx:
                await verb(tx, wanted.org, wanted.job, ACTOR, now)
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STORED

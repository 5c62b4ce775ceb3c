"""What is set aside for a transfer: taken when its size is known, given back however it ends, never counted wrong."""

import datetime as dt

import msgspec
import pytest

from control.audit.service import Actor
from control.db import Tx
from control.errors import QuotaSpent
from control.jobs import steer
from control.jobs.schemas import EditJob
from control.loops import dispatch, finish, lost, purge
from control.plane import Plane
from control.plans import allowance, traffic, usage
from control.plans import service as plans
from control.plans.limits import OwnLimits
from control.plans.model import TrafficKind
from control.plans.usage import Counted
from control.transfers.model import Transfer
from tests.integration.fleet.test_metadata import give, info_of, magnet
from tests.support.fleet import Wanted, add_agent, add_transfer, claimed, new_pool, read_job, read_transfer
from wire.clock import utcnow
from wire.ids import OrgId
from wire.messages import Claimed, Failure, MetadataVerdict
from wire.states import JobState, TransferState
from wire.units import MIB

ACTOR = Actor(name="person:tests")
NOTHING = Counted(0, 0)


async def counted(plane: Plane, org: OrgId) -> Counted:
    """As the triggers added it up; and it must be what its jobs come to."""
    async with plane.working() as tx:
        kept = await allowance.of(tx, org)
        anew = await usage.recounted(tx, org)
    assert anew == Counted(kept.reserved_bytes, kept.stored_bytes)
    return anew


async def cap(plane: Plane, org: OrgId, **limits: int) -> None:
    async with plane.working() as tx:
        await plans.set_own(tx, org, msgspec.convert(limits, OwnLimits), "A test.", ACTOR, utcnow())


async def metered(tx: Tx, org: OrgId) -> dict[TrafficKind, int]:
    return await traffic.of_month(tx, org, utcnow())


async def test_a_transfer_under_way_holds_its_whole_size_and_gives_it_back_with_a_cancel(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20)
    assert await counted(plane, wanted.org) == Counted(30, 0)
    async with plane.working() as tx:
        await steer.cancel(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert await counted(plane, wanted.org) == NOTHING
    await agent.sync(agent.report(wanted.transfer, handover=True))
    assert await counted(plane, wanted.org) == NOTHING


async def test_a_pause_keeps_what_is_set_aside(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 10)
    async with plane.working() as tx:
        await steer.pause(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert await counted(plane, wanted.org) == Counted(10, 0)
    await cap(plane, wanted.org, storage_bytes=5)
    async with plane.working() as tx:
        resumed = await steer.resume(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert resumed.whole.transfer.go, "under smaller limits it goes on"


async def test_a_failure_leaves_only_what_it_stored(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20)
    await agent.sync(agent.report(wanted.transfer, failure=Failure("bad", "Bad.", retryable=False)))
    assert (await read_job(plane, wanted.job)).state is JobState.FAILED
    assert await counted(plane, wanted.org) == NOTHING


async def test_what_is_completed_is_stored_until_it_is_removed(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 9 * MIB, 20)
    parts, files = await agent.put_everything(wanted)
    report = agent.report(wanted.transfer, parts=parts, files=files, done=True)
    await agent.sync(report)
    await agent.sync(report)
    await finish.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STORED
    whole = 9 * MIB + 20
    assert await counted(plane, wanted.org) == Counted(0, whole)
    async with plane.working() as tx:
        assert (await metered(tx, wanted.org))[TrafficKind.TRANSFER] == whole, "once, however often it is said"
        await steer.remove(tx, wanted.org, wanted.job, ACTOR, utcnow(), keep_data=False)
    assert await counted(plane, wanted.org) == NOTHING
    await purge.step(plane, utcnow())
    assert await counted(plane, wanted.org) == NOTHING


async def test_data_that_is_kept_counts_on(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    _, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, files=files, done=True))
    await finish.step(plane, utcnow())
    async with plane.working() as tx:
        await steer.remove(tx, wanted.org, wanted.job, ACTOR, utcnow(), keep_data=True)
    assert await counted(plane, wanted.org) == Counted(0, 10)


async def test_a_crash_of_every_agent_that_takes_it_gives_back_all(plane: Plane) -> None:
    pool, now = new_pool(), utcnow()
    wanted = await add_transfer(plane, 10, pool=pool)
    for _ in range(5):
        agent = await add_agent(plane, pool)
        assert isinstance(await agent.claim(wanted.transfer), Claimed)
        await agent.sync(agent.report(wanted.transfer))
        assert await counted(plane, wanted.org) == Counted(10, 0)
        now += dt.timedelta(seconds=plane.settings.lease_s)
        await lost.step(plane, now)
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.FAILED
    assert await counted(plane, wanted.org) == NOTHING


async def test_a_transaction_that_does_not_come_through_sets_nothing_aside(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 10)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).size_bytes = 1_000
        await tx.flush()
        assert (await allowance.of(tx, wanted.org)).reserved_bytes == 1_000
        await tx.rollback()
    assert await counted(plane, wanted.org) == Counted(10, 0)


async def test_a_magnet_sets_aside_once_its_metadata_is_known(plane: Plane) -> None:
    raw = info_of(10, 20)
    wanted, agent = await magnet(plane, raw)
    assert await counted(plane, wanted.org) == NOTHING
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=True)
    assert await counted(plane, wanted.org) == Counted(30, 0)


@pytest.mark.parametrize(
    ("limit", "code"),
    [("storage_bytes", "quota_spent"), ("file_bytes", "file_too_large"), ("traffic_bytes", "traffic_spent")],
)
async def test_a_magnet_that_turns_out_too_large_fails_with_the_limit(plane: Plane, limit: str, code: str) -> None:
    raw = info_of(10, 20)
    wanted, agent = await magnet(plane, raw)
    await cap(plane, wanted.org, **{limit: 19})
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=False, code=code)
    job = await read_job(plane, wanted.job)
    assert (job.state, job.failure_code) == (JobState.FAILED, code)
    assert "left" in (job.failure_detail or "") or "allowed" in (job.failure_detail or "")
    assert await counted(plane, wanted.org) == NOTHING


async def test_a_choice_that_grows_sets_aside_more_and_no_more_than_there_is(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 10, 20, 40)

    async def choose(*files: int) -> None:
        async with plane.working() as tx:
            await steer.edit(tx, wanted.org, wanted.job, EditJob(files=list(files)), ACTOR, utcnow())

    await choose(0)
    assert await counted(plane, wanted.org) == Counted(10, 0)
    await cap(plane, wanted.org, storage_bytes=30)
    await choose(0, 1)
    assert await counted(plane, wanted.org) == Counted(30, 0)
    with pytest.raises(QuotaSpent):
        await choose(0, 1, 2)
    assert await counted(plane, wanted.org) == Counted(30, 0)
    await cap(plane, wanted.org, storage_bytes=5)
    await choose(1)
    assert await counted(plane, wanted.org) == Counted(20, 0), "less may always be wanted"


async def test_beyond_the_active_limit_they_wait_their_turn(plane: Plane) -> None:
    pool = new_pool()
    first = await add_transfer(plane, 10, pool=pool)
    others = [await add_transfer(plane, 10, pool=pool, org=first.org) for _ in range(3)]
    await cap(plane, first.org, active=2)
    agent, now = await add_agent(plane, pool), utcnow()
    await agent.sync(now=now)
    await dispatch.step(plane, now)
    assert [(await read_transfer(plane, each.transfer)).state for each in (first, *others)] == [
        TransferState.OFFERED, TransferState.OFFERED, TransferState.WAITING, TransferState.WAITING,
    ]  # fmt: skip
    assert isinstance(await agent.claim(first.transfer), Claimed)
    async with plane.working() as tx:
        await steer.cancel(tx, first.org, first.job, ACTOR, now)
    await agent.sync(agent.report(first.transfer), now=now)
    await dispatch.step(plane, now)
    assert (await read_transfer(plane, others[1].transfer)).state is TransferState.OFFERED
    assert await _waiting(plane, first) == 1


async def _waiting(plane: Plane, wanted: Wanted) -> int:
    async with plane.working() as tx:
        return (await usage.of(tx, wanted.org, utcnow())).waiting

"""Steering reaches the agent that holds a transfer, frees its slot, and outlives whoever it was said to."""

import datetime as dt
from collections.abc import Awaitable, Callable

import pytest

from control.audit.service import Actor
from control.errors import Conflict
from control.jobs import steer
from control.jobs.schemas import EditJob
from control.jobs.steer import Steered
from control.loops import dispatch, finish, paused, purge
from control.plane import Plane
from control.storage.keys import prefix
from control.transfers.model import Transfer
from tests.support.fleet import (
    FakeAgent,
    Wanted,
    add_agent,
    add_transfer,
    claimed,
    content,
    new_pool,
    read_job,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import Claimed, Failure, Found, Refused, Steer
from wire.states import Intent, JobState, Priority, TransferState

ACTOR = Actor(name="person:tests")
LIMIT = 10
"""Of one organisation, at work at once."""
Verb = Callable[..., Awaitable[Steered]]


async def steered(plane: Plane, verb: Verb, wanted: Wanted) -> Steered:
    async with plane.working() as tx:
        return await verb(tx, wanted.org, wanted.job, ACTOR, utcnow())


async def intent_heard(agent: FakeAgent, wanted: Wanted) -> Intent:
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.standing == "ok"
    return verdict.intent


async def states(plane: Plane, wanted: Wanted) -> tuple[TransferState, JobState]:
    return (await read_transfer(plane, wanted.transfer)).state, (await read_job(plane, wanted.job)).state


async def test_a_paused_transfer_stays_on_its_agent_and_goes_on_there(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    assert (await steered(plane, steer.pause, wanted)).agent == agent.id
    assert await states(plane, wanted) == (TransferState.RUNNING, JobState.PAUSED)
    assert await intent_heard(agent, wanted) is Intent.PAUSE
    assert (await steered(plane, steer.resume, wanted)).agent == agent.id
    assert await intent_heard(agent, wanted) is Intent.RUN
    assert await states(plane, wanted) == (TransferState.RUNNING, JobState.DOWNLOADING)
    assert (await read_transfer(plane, wanted.transfer)).epoch == 1


async def test_while_it_is_paused_nothing_new_may_be_put(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await steered(plane, steer.pause, wanted)
    want, _ = wants_of(0, content(0, 100))[0]
    with pytest.raises(Conflict) as refused:
        await agent.grants(wanted.transfer, want)
    assert refused.value.code == "not_go"


async def test_what_was_on_its_way_when_it_was_paused_counts(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    parts, files = await agent.put_everything(wanted)
    await steered(plane, steer.pause, wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert await states(plane, wanted) == (TransferState.STORED, JobState.COMPLETED)


async def test_a_paused_transfer_holds_no_slot(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await claimed(plane, 10, pool=pool)
    other = await add_transfer(plane, 10, pool=pool)
    await agent.sync(slots=1)
    await dispatch.step(plane, utcnow())
    assert (await read_transfer(plane, other.transfer)).state is TransferState.WAITING
    await steered(plane, steer.pause, wanted)
    await dispatch.step(plane, utcnow())
    assert (await read_transfer(plane, other.transfer)).state is TransferState.OFFERED


async def test_pausing_and_resuming_gives_nobody_more_slots_than_his_limit(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    await steered(plane, steer.pause, wanted)
    for _ in range(LIMIT):
        other = await add_transfer(plane, 10, pool=agent.pool, org=wanted.org)
        async with plane.working() as tx:
            (await tx.get_one(Transfer, other.transfer)).state = TransferState.OFFERED
    await steered(plane, steer.resume, wanted)
    assert await states(plane, wanted) == (TransferState.WAITING, JobState.QUEUED)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.standing == "stale"


async def test_a_paused_transfer_is_not_offered_and_no_late_claim_gets_it(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 10, pool=pool), await add_agent(plane, pool)
    await dispatch.step(plane, utcnow())
    await steered(plane, steer.pause, wanted)
    assert await states(plane, wanted) == (TransferState.WAITING, JobState.PAUSED)
    await dispatch.step(plane, utcnow())
    assert await agent.claim(wanted.transfer) == Refused("gone")
    assert await states(plane, wanted) == (TransferState.WAITING, JobState.PAUSED)
    await steered(plane, steer.resume, wanted)
    assert isinstance(await agent.claim(wanted.transfer), Claimed)


async def test_a_paused_transfer_whose_agent_dies_comes_back_paused(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    await steered(plane, steer.pause, wanted)
    epoch = agent.holds[wanted.transfer].epoch
    agent.reboot()
    await agent.sync()
    assert await states(plane, wanted) == (TransferState.WAITING, JobState.PAUSED)
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, epoch)], held=[])).verdicts
    assert (verdict.standing, verdict.intent) == ("adopt", Intent.PAUSE)  # with the pieces that it still has
    assert await intent_heard(agent, wanted) is Intent.PAUSE
    assert (await read_job(plane, wanted.job)).state is JobState.PAUSED


async def test_what_is_paused_for_long_leaves_its_agent_and_nobody_elses(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    running, _ = await claimed(plane, 10)
    await steered(plane, steer.pause, wanted)
    now = utcnow()
    await paused.step(plane, now)
    assert (await read_transfer(plane, wanted.transfer)).agent_id == agent.id
    for _ in range(2):
        await paused.step(plane, now + dt.timedelta(seconds=plane.settings.pause_kept_s))
    assert await states(plane, wanted) == (TransferState.WAITING, JobState.PAUSED)
    assert (await read_transfer(plane, running.transfer)).state is TransferState.RUNNING
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.standing == "stale"


async def test_a_paused_job_can_be_cancelled(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    await steered(plane, steer.pause, wanted)
    assert (await steered(plane, steer.cancel, wanted)).agent == agent.id
    assert await intent_heard(agent, wanted) is Intent.STOP
    agent.holds.clear()
    await agent.sync()
    assert await states(plane, wanted) == (TransferState.STOPPED, JobState.CANCELLED)


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_what_failed_or_was_cancelled_is_tried_again_with_all_its_tries(plane: Plane, how: str) -> None:
    wanted, agent = await claimed(plane, 10)
    if how == "failed":
        await agent.sync(agent.report(wanted.transfer, failure=Failure("bad", "Bad.", retryable=False)))
    else:
        await steered(plane, steer.cancel, wanted)
        await agent.sync(agent.report(wanted.transfer, handover=True))
        await purge.step(plane, utcnow())  # takes the leave to download with the bytes
    assert (await read_job(plane, wanted.job)).state is JobState(how)
    await steered(plane, steer.retry, wanted)
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.intent, job.failure_code, job.ended_at) == (JobState.QUEUED, Intent.RUN, None, None)
    assert (transfer.state, transfer.tries, transfer.go) == (TransferState.WAITING, 0, True)
    agent.holds.clear()
    agent.revs.clear()
    assert isinstance(await agent.claim(wanted.transfer), Claimed)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_data_that_is_kept_outlives_its_job(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    async with plane.working() as tx:
        await steer.remove(tx, wanted.org, wanted.job, ACTOR, utcnow(), keep_data=True)
    await purge.step(plane, utcnow())
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) == [files[0].key]


async def test_how_it_is_brought_is_said_with_the_verdict_and_with_the_next_claim(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    asked = EditJob(sequential=True, down_max=100_000, up_max=20_000)
    async with plane.working() as tx:
        await steer.edit(tx, wanted.org, wanted.job, asked, ACTOR, utcnow())
    await steered(plane, steer.reannounce, wanted)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    steering = Steer(rev=2, sequential=True, down_max=100_000, up_max=20_000, announces=1)
    assert verdict.steer == steering
    await agent.sync(agent.report(wanted.transfer, handover=True))
    other = await add_agent(plane, agent.pool)
    answer = await other.claim(wanted.transfer)
    assert isinstance(answer, Claimed)
    assert answer.spec.steer == steering


async def test_an_organisations_important_jobs_go_first_and_only_before_its_own(plane: Plane) -> None:
    pool = new_pool()
    low = await add_transfer(plane, 10, pool=pool)
    normal, high = [await add_transfer(plane, 10, pool=pool, org=low.org) for _ in range(2)]
    other = await add_transfer(plane, 10, pool=pool)
    for wanted, priority in ((low, Priority.LOW), (high, Priority.HIGH)):
        async with plane.working() as tx:
            await steer.edit(tx, low.org, wanted.job, EditJob(priority=priority), ACTOR, utcnow())
    agent = await add_agent(plane, pool)
    order = [(high, other), (normal,), (low,)]
    for slots, offered in zip((2, 3, 4), order, strict=True):
        await agent.sync(slots=slots)
        await dispatch.step(plane, utcnow())
        for each in offered:
            assert (await read_transfer(plane, each.transfer)).state is TransferState.OFFERED

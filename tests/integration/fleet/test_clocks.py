"""The control plane's clock jumps: nobody waits for days, and nothing that is stored is lost."""

import datetime as dt

import pytest

from control.loops import dispatch, finish, lost
from control.plane import Plane
from tests.support.fleet import claimed, read_agent, read_job, read_transfer
from wire.clock import utcnow
from wire.messages import Claimed, Failure
from wire.states import AgentState, JobState, TransferState

DAY = dt.timedelta(days=1)


async def test_a_clock_that_jumps_ahead_costs_a_claim_and_nothing_that_is_stored(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100, 50)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files))
    await lost.step(plane, utcnow() + DAY)
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING
    (verdict,) = (await agent.sync(agent.report(wanted.transfer), now=utcnow() + DAY)).verdicts
    assert verdict.standing == "stale"
    agent.revs.clear()
    answer = await agent.claim(wanted.transfer)
    assert isinstance(answer, Claimed)
    assert answer.spec.files == [0, 1]
    await agent.sync(agent.report(wanted.transfer, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_a_try_that_was_put_off_by_a_clock_that_was_ahead_is_made(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    failure = Failure("engine_error", "Said.")
    await agent.sync(agent.report(wanted.transfer, failure=failure), now=utcnow() + DAY)
    await agent.sync()
    await dispatch.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.OFFERED


async def test_an_offer_that_was_made_by_a_clock_that_was_ahead_is_made_again(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await agent.sync(agent.report(wanted.transfer, handover=True))
    await agent.sync(now=utcnow() + DAY)
    await dispatch.step(plane, utcnow() + DAY)
    await agent.sync()
    before = (await read_transfer(plane, wanted.transfer)).offer_no
    await dispatch.step(plane, utcnow())
    after = await read_transfer(plane, wanted.transfer)
    assert (after.state, after.offer_no) == (TransferState.OFFERED, before + 1)


@pytest.mark.parametrize("alive", [True, False])
async def test_an_agent_that_was_heard_of_by_a_clock_that_was_ahead_has_one_lease_more(
    plane: Plane, alive: bool
) -> None:
    wanted, agent = await claimed(plane, 100)
    await agent.sync(agent.report(wanted.transfer), now=utcnow() + DAY)
    now = utcnow()
    await lost.step(plane, now)
    assert (await read_agent(plane, agent.id)).state is AgentState.READY
    lease = dt.timedelta(seconds=plane.settings.wait(plane.settings.lease_s))
    if alive:
        await agent.sync(agent.report(wanted.transfer), now=now + lease)
    await lost.step(plane, now + lease * 1.5)
    assert (await read_agent(plane, agent.id)).state is (AgentState.READY if alive else AgentState.LOST)

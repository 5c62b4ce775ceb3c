"""What an agent should do, and what comes of it: at once with the commit, and still so after any restart."""

from datetime import timedelta

import pytest

from control.audit.service import Actor
from control.fleet import duties
from control.jobs import steer
from control.loops import dispatch, lost, paused
from control.plane import Plane
from tests.support.fleet import (
    FakeAgent,
    add_agent,
    add_transfer,
    claimed,
    new_pool,
    read_agent,
    read_job,
    read_transfer,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import Claimed, Found, Refused
from wire.states import AgentState, Duty, JobState, TransferState

OPERATOR = Actor(name="person:tests")


async def assign(plane: Plane, agent: FakeAgent, duty: Duty) -> AgentState:
    await duties.assign(plane, agent.id, duty, None, OPERATOR, utcnow())
    return (await read_agent(plane, agent.id)).state


@pytest.mark.parametrize("duty", [Duty.CORDON, Duty.DRAIN, Duty.HAND_OVER])
async def test_who_is_to_take_nothing_gets_nothing_though_it_has_not_heard_yet(plane: Plane, duty: Duty) -> None:
    pool = new_pool()
    agent, wanted = await add_agent(plane, pool), await add_transfer(plane, 10, pool=pool)
    await assign(plane, agent, duty)
    await dispatch.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING  # offered to nobody
    assert await agent.claim(wanted.transfer) == Refused("not_ready")
    assert (await agent.sync()).duty is duty
    await assign(plane, agent, Duty.WORK)
    assert (await agent.sync()).duty is Duty.WORK
    assert isinstance(await agent.claim(wanted.transfer), Claimed)


async def test_a_drained_agent_ends_its_work_first(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    assert await assign(plane, agent, Duty.DRAIN) is AgentState.DRAINING
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.standing == "ok"
    assert (await read_transfer(plane, wanted.transfer)).agent_id == agent.id
    await agent.sync(agent.report(wanted.transfer, handover=True))
    assert (await read_agent(plane, agent.id)).state is AgentState.DRAINED
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING


async def test_an_idle_agent_is_drained_at_once(plane: Plane) -> None:
    agent = await add_agent(plane, new_pool())
    assert await assign(plane, agent, Duty.DRAIN) is AgentState.DRAINED
    assert await assign(plane, agent, Duty.CORDON) is AgentState.CORDONED
    assert await assign(plane, agent, Duty.HAND_OVER) is AgentState.DRAINED


@pytest.mark.parametrize(
    ("duty", "state"),
    [
        (Duty.WORK, AgentState.READY),
        (Duty.CORDON, AgentState.CORDONED),
        (Duty.DRAIN, AgentState.DRAINED),
        (Duty.HAND_OVER, AgentState.DRAINED),
    ],
)
async def test_a_duty_outlives_the_agents_loss_and_restart(plane: Plane, duty: Duty, state: AgentState) -> None:
    wanted, agent = await claimed(plane, 10)
    await assign(plane, agent, duty)
    await lost.step(plane, utcnow() + timedelta(hours=1))
    assert (await read_agent(plane, agent.id)).state is AgentState.LOST
    assert (await read_transfer(plane, wanted.transfer)).agent_id is None
    agent.reboot()
    assert (await agent.sync()).duty is duty
    assert (await read_agent(plane, agent.id)).state is state


async def test_what_was_said_while_it_was_away_is_heard_when_it_is_back(plane: Plane) -> None:
    agent = await add_agent(plane, new_pool())
    await lost.step(plane, utcnow() + timedelta(hours=1))
    assert await assign(plane, agent, Duty.CORDON) is AgentState.LOST
    assert (await agent.sync()).duty is Duty.CORDON
    assert (await read_agent(plane, agent.id)).state is AgentState.CORDONED


@pytest.mark.parametrize(
    ("duty", "goes_on"), [(Duty.CORDON, True), (Duty.DRAIN, True), (Duty.HAND_OVER, False), (Duty.WORK, True)]
)
async def test_a_restart_goes_on_with_its_own_unless_others_shall(plane: Plane, duty: Duty, goes_on: bool) -> None:
    wanted, agent = await claimed(plane, 10)
    await assign(plane, agent, duty)
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, 1)])).verdicts
    assert verdict.standing == ("adopt" if goes_on else "stale")
    assert (await read_transfer(plane, wanted.transfer)).agent_id == (agent.id if goes_on else None)


async def test_what_nobody_holds_any_more_is_not_taken_up_by_who_shall_take_nothing(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    await lost.step(plane, utcnow() + timedelta(hours=1))
    await assign(plane, agent, Duty.CORDON)
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, 1)])).verdicts
    assert verdict.standing == "stale"


async def test_a_drained_agent_may_be_switched_off_and_is_not_missed(plane: Plane) -> None:
    agent = await add_agent(plane, new_pool())
    await assign(plane, agent, Duty.DRAIN)
    await agent.sync(leaving=True)
    await lost.step(plane, utcnow() + timedelta(hours=1))
    assert (await read_agent(plane, agent.id)).state is AgentState.DRAINED


async def test_who_leaves_while_it_drains_hands_the_rest_over_and_is_drained(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    await assign(plane, agent, Duty.DRAIN)
    await agent.sync(leaving=True)
    assert (await read_agent(plane, agent.id)).state is AgentState.DRAINED
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING


async def test_what_is_paused_keeps_no_agent_from_being_drained(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    async with plane.working() as tx:
        await steer.pause(tx, wanted.org, wanted.job, OPERATOR, utcnow())
    await paused.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).agent_id == agent.id
    await assign(plane, agent, Duty.DRAIN)
    await paused.step(plane, utcnow())
    transfer, job = await read_transfer(plane, wanted.transfer), await read_job(plane, wanted.job)
    assert (transfer.state, job.state) == (TransferState.WAITING, JobState.PAUSED)
    agent.holds.clear()
    await agent.sync()
    assert (await read_agent(plane, agent.id)).state is AgentState.DRAINED

"""Claims: whoever takes a transfer takes it alone, and whoever had it before is refused from then on."""

import asyncio

import pytest

from control.errors import Conflict, NotSignedIn
from control.fleet.model import Agent
from control.plane import Plane
from control.torrents import metadata
from control.transfers import record
from control.transfers.model import Transfer
from tests.support.fleet import (
    add_agent,
    add_transfer,
    claimed,
    content,
    count_parts,
    new_pool,
    read_job,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.ids import ClaimId, TransferId, new_id
from wire.messages import Claimed, Found, PartStored, Refused, Verdict
from wire.states import AgentState, Intent, JobState, Phase, TransferState
from wire.units import MIB


async def test_of_twenty_claims_at_once_one_is_granted(plane: Plane) -> None:
    pool = new_pool()
    wanted = await add_transfer(plane, 100, pool=pool)
    agents = [await add_agent(plane, pool) for _ in range(20)]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(agent.claim(wanted.transfer)) for agent in agents]
    answers = [task.result() for task in asked]
    assert [answer for answer in answers if isinstance(answer, Refused)] == [Refused("taken")] * 19
    (granted,) = [answer for answer in answers if isinstance(answer, Claimed)]
    transfer = await read_transfer(plane, wanted.transfer)
    assert (granted.spec.epoch, transfer.epoch, transfer.tries) == (1, 1, 1)
    assert agents[answers.index(granted)].id == transfer.agent_id


async def test_the_same_claim_gets_the_same_answer(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 100, pool=pool), await add_agent(plane, pool)
    claim_id = ClaimId(new_id())
    first, second = await agent.claim(wanted.transfer, claim_id), await agent.claim(wanted.transfer, claim_id)
    assert first == second
    assert isinstance(first, Claimed)
    assert await agent.claim(wanted.transfer) == Refused("taken")  # another claim, of the same agent


async def test_what_is_gone_is_refused(plane: Plane) -> None:
    pool = new_pool()
    agent, other_pools = await add_agent(plane, pool), await add_transfer(plane, 100, pool=new_pool())
    assert await agent.claim(TransferId(new_id())) == Refused("gone")
    assert await agent.claim(other_pools.transfer) == Refused("gone")


async def test_an_agent_that_is_not_ready_is_refused_and_the_offer_is_open_again(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 100, pool=pool), await add_agent(plane, pool)
    async with plane.working() as tx:
        row = await tx.get_one(Agent, agent.id)
        row.move(AgentState.CORDONED)
    assert await agent.claim(wanted.transfer) == Refused("not_ready")
    never_synced = await add_agent(plane, pool, synced=False)
    assert await never_synced.claim(wanted.transfer) == Refused("not_ready")
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING


async def test_a_transfer_that_nobody_wants_any_more_stops_at_the_claim(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 100, pool=pool), await add_agent(plane, pool)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).intent = Intent.STOP
    assert await agent.claim(wanted.transfer) == Refused("gone")
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STOPPED


async def test_a_spec_has_trackers_and_peers_only_of_allowed_addresses(plane: Plane) -> None:
    wanted, agent = await add_transfer(plane, 100, pool="default"), await add_agent(plane, "default")
    answer = await agent.claim(wanted.transfer)
    assert isinstance(answer, Claimed)
    assert answer.spec.trackers == [["http://127.0.0.7:6969/announce"]]
    assert answer.spec.peers == ["127.0.0.7:4000"]
    assert answer.spec.allow == ["127.0.0.7/32"]
    assert answer.spec.correlation_id == f"c-{wanted.transfer}"


async def test_a_stale_epoch_is_refused_everywhere(plane: Plane) -> None:
    size = 9 * MIB
    wanted, old = await claimed(plane, size)
    await old.sync(old.report(wanted.transfer, handover=True))
    new = await add_agent(plane, old.pool)
    assert isinstance(await new.claim(wanted.transfer), Claimed)
    part = PartStored(0, 1, 8 * MIB, 1, "etag")
    (verdict,) = (await old.sync(old.report(wanted.transfer, parts=[part], done=True))).verdicts
    assert verdict == Verdict(wanted.transfer, "stale")
    want, _ = wants_of(0, content(0, size))[0]
    with pytest.raises(Conflict) as refused:
        await old.grants(wanted.transfer, want)
    assert refused.value.code == "stale_epoch"
    with pytest.raises(Conflict):
        await metadata.raw_info(plane, old.id, wanted.transfer, 1)
    with pytest.raises(Conflict):
        await metadata.give(plane, old.id, wanted.transfer, 1, b"de", utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.agent_id, transfer.epoch, transfer.done) == (new.id, 2, False)
    assert await count_parts(plane, wanted.transfer) == 0


async def test_a_new_boot_goes_on_with_what_it_finds_on_its_disk(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 9 * MIB)
    old = agent.sync_body(agent.report(wanted.transfer), rev=100)
    agent.reboot()
    found = [Found(wanted.transfer, 1), Found(TransferId(new_id()), 1)]
    verdicts = {v.transfer: v for v in (await agent.sync(found=found, held=[])).verdicts}
    adopted = verdicts[wanted.transfer]
    assert (adopted.standing, adopted.spec.epoch if adopted.spec else 0) == ("adopt", 2)
    assert verdicts[found[1].transfer].standing == "stale"
    again = await agent.sync(found=found, held=[])  # the answer was lost
    assert {v.transfer: v for v in again.verdicts}[wanted.transfer] == adopted
    with pytest.raises(Conflict) as refused:  # a late word of the old boot
        await record.sync(plane, agent.id, old, utcnow())
    assert refused.value.code == "stale_sync"
    await agent.sync(agent.report(wanted.transfer))
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.epoch, transfer.boot) == (TransferState.RUNNING, 2, agent.boot)


async def test_what_a_new_boot_does_not_find_goes_to_others(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    agent.reboot()
    await agent.sync()
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.agent_id) == (TransferState.WAITING, None)
    assert (await read_job(plane, wanted.job)).state is JobState.QUEUED


async def test_a_torrent_that_kills_its_agent_again_and_again_ends(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    for _ in range(4):
        epoch = agent.holds[wanted.transfer].epoch
        agent.reboot()
        verdicts = (await agent.sync(found=[Found(wanted.transfer, epoch)], held=[])).verdicts
        assert [v.standing for v in verdicts] == ["adopt"]
        await agent.sync(agent.report(wanted.transfer))
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, 5)], held=[])).verdicts
    assert verdict.standing == "stale"
    transfer, job = await read_transfer(plane, wanted.transfer), await read_job(plane, wanted.job)
    assert (transfer.state, job.state, job.failure_code) == (TransferState.FAILED, JobState.FAILED, "tries_spent")


async def test_a_claim_made_a_moment_ago_may_be_missing_in_a_sync(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 100, pool=pool), await add_agent(plane, pool)
    await agent.claim(wanted.transfer)
    await agent.sync(held=[])
    assert (await read_transfer(plane, wanted.transfer)).agent_id == agent.id
    await agent.sync(agent.report(wanted.transfer, phase=Phase.RUNNING))
    await agent.sync(held=[])  # it knew of it, and has it no more
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING


async def test_a_retired_agent_cannot_sync(plane: Plane) -> None:
    agent = await add_agent(plane, new_pool())
    async with plane.working() as tx:
        row = await tx.get_one(Agent, agent.id)
        row.move(AgentState.RETIRED)
    with pytest.raises(NotSignedIn) as refused:
        await agent.sync()
    assert refused.value.code == "agent_retired"

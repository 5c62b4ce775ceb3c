"""Which files are wanted: told to the agent, granted, counted and completed; nothing else is stored."""

import pytest
from sqlalchemy import select

from control.audit.service import Actor
from control.errors import BadInput, Conflict, QuotaSpent
from control.jobs import steer
from control.jobs.model import Job
from control.jobs.schemas import EditJob
from control.jobs.steer import Steered
from control.loops import finish, purge
from control.plane import Plane
from control.storage.keys import prefix
from control.torrents import metadata
from control.torrents.model import File
from control.transfers.model import Transfer
from tests.integration.fleet.test_metadata import info_of, magnet
from tests.support.fleet import (
    FakeAgent,
    Wanted,
    add_transfer,
    claimed,
    content,
    read_job,
    read_objects,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.ids import JobId
from wire.messages import Claimed, Failure, FileStored, MetadataVerdict, PartStored
from wire.states import Intent, JobState, TransferState
from wire.units import MIB, TIB

ACTOR = Actor(name="person:tests")


async def chosen(plane: Plane, wanted: Wanted, *files: int) -> Steered:
    async with plane.working() as tx:
        return await steer.edit(tx, wanted.org, wanted.job, EditJob(files=list(files) or None), ACTOR, utcnow())


async def put(agent: FakeAgent, wanted: Wanted, *files: int) -> list[FileStored]:
    """Only these, each of them small."""
    stored = []
    for index in files:
        want, body = wants_of(index, content(index, wanted.sizes[index]))[0]
        (grant,) = await agent.grants(wanted.transfer, want)
        stored.append(FileStored(index, len(body), want.crc32, await agent.put(grant, body), grant.key))
    return stored


async def say_stored(plane: Plane, agent: FakeAgent, wanted: Wanted, *files: int, rev: int = 0) -> None:
    stored = await put(agent, wanted, *files)
    await agent.sync(agent.report(wanted.transfer, files=stored, done=True, steer=rev))
    await finish.step(plane, utcnow())


async def test_the_agent_hears_of_a_choice_once_and_only_chosen_files_are_granted(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20, 30)
    await chosen(plane, wanted, 1)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.steer is not None
    assert (verdict.steer.rev, verdict.steer.files) == (1, [1])
    (verdict,) = (await agent.sync(agent.report(wanted.transfer, steer=1))).verdicts
    assert verdict.steer is None
    want, _ = wants_of(0, content(0, 10))[0]
    with pytest.raises(Conflict) as refused:
        await agent.grants(wanted.transfer, want)
    assert refused.value.code == "not_go"
    assert (await read_transfer(plane, wanted.transfer)).size_bytes == 20


async def test_a_job_ends_with_its_own_files_and_goes_on_when_more_are_chosen(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20, 30)
    await chosen(plane, wanted, 1)
    await say_stored(plane, agent, wanted, 1, rev=1)
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.wanted_bytes, transfer.stored_bytes) == (JobState.COMPLETED, 20, 20)
    done = await chosen(plane, wanted, 2)  # what is stored stays wanted
    assert (done.whole.job.state, done.whole.job.wanted_bytes) == (JobState.QUEUED, 50)
    agent.holds.clear()
    agent.revs.clear()
    answer = await agent.claim(wanted.transfer)
    assert isinstance(answer, Claimed)
    assert (answer.spec.steer.files, answer.spec.files) == ([1, 2], [1])
    await say_stored(plane, agent, wanted, 2, rev=answer.spec.steer.rev)
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    assert [row.file for row in await read_objects(plane, wanted.transfer)] == [1, 2]


async def test_what_was_done_under_an_older_choice_is_not_all(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20)
    await chosen(plane, wanted, 0)
    stored = await put(agent, wanted, 0)
    await chosen(plane, wanted, 0, 1)
    await agent.sync(agent.report(wanted.transfer, files=stored, done=True, steer=1))
    await finish.step(plane, utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.done, transfer.tries) == (TransferState.RUNNING, False, 0)


async def test_more_that_is_chosen_just_as_all_was_done_is_no_failure(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20)
    await chosen(plane, wanted, 0)
    await agent.sync(agent.report(wanted.transfer, files=await put(agent, wanted, 0), done=True, steer=1))
    await chosen(plane, wanted, 0, 1)
    await finish.step(plane, utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.done, transfer.tries) == (TransferState.RUNNING, False, 0)


async def test_renaming_what_has_ended_asks_for_no_quota_and_gives_no_leave(plane: Plane) -> None:
    wanted, agent = await claimed(plane, TIB + 1)
    await agent.sync(agent.report(wanted.transfer, failure=Failure("bad", "Bad.", retryable=False)))
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).go = False
        named = await steer.edit(tx, wanted.org, wanted.job, EditJob(name="mine"), ACTOR, utcnow())
    assert (named.whole.job.name, named.whole.transfer.go) == ("mine", False)


async def test_what_was_begun_of_a_file_that_nobody_wants_any_more_leaves_the_store(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 20 * MIB, 10)
    want, body = wants_of(0, content(0, 20 * MIB))[0]
    (grant,) = await agent.grants(wanted.transfer, want)
    part = PartStored(0, 1, len(body), want.crc32, await agent.put(grant, body))
    await agent.sync(agent.report(wanted.transfer, parts=[part]))
    await chosen(plane, wanted, 1)
    await say_stored(plane, agent, wanted, 1, rev=1)
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    await purge.step(plane, utcnow())
    assert await plane.store.uploads(prefix(wanted.org, wanted.torrent)) == []
    assert [row.file for row in await read_objects(plane, wanted.transfer)] == [1]


async def beside(plane: Plane, wanted: Wanted, *files: int) -> JobId:
    """Another organisation's job on the same transfer, as sharing will make them."""
    other = await add_transfer(plane, 1)
    async with plane.working() as tx:
        mine = await tx.get_one(Job, other.job)
        mine.transfer_id, mine.torrent_id, mine.files = wanted.transfer, wanted.torrent, list(files)
    return other.job


async def test_several_jobs_get_the_union_and_each_ends_with_its_own_files(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20, 30)
    other = await beside(plane, wanted, 2)
    await chosen(plane, wanted, 0)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.steer is not None
    assert verdict.steer.files == [0, 2]
    stored = await put(agent, wanted, 0)
    await agent.sync(agent.report(wanted.transfer, files=stored, steer=1))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    assert (await read_job(plane, other)).state is not JobState.COMPLETED
    await say_stored(plane, agent, wanted, 2, rev=1)
    assert (await read_job(plane, other)).state is JobState.COMPLETED


async def test_a_magnet_added_to_choose_from_waits_with_its_files_shown(plane: Plane) -> None:
    raw = info_of(10, 20, 30)
    wanted, agent = await magnet(plane, raw)
    await ask(plane, wanted, Intent.CHOOSE)
    assert await given(plane, wanted, agent, raw) == MetadataVerdict(go=False, code="not_wanted_yet")
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.wanted_bytes, transfer.intent, transfer.go) == (JobState.PAUSED, 60, Intent.PAUSE, False)
    assert await file_sizes(plane, wanted) == [10, 20, 30]
    await chosen(plane, wanted, 1)
    async with plane.working() as tx:
        await steer.resume(tx, wanted.org, wanted.job, ACTOR, utcnow())
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert (verdict.intent, verdict.go) == (Intent.RUN, True)
    assert verdict.steer is not None
    assert verdict.steer.files == [1]


async def test_files_chosen_in_the_dark_are_looked_at_with_the_metadata(plane: Plane) -> None:
    raw = info_of(10, 20)
    wanted, agent = await magnet(plane, raw)
    await ask(plane, wanted, Intent.RUN, 1)
    assert (await given(plane, wanted, agent, raw)).go
    assert (await read_transfer(plane, wanted.transfer)).size_bytes == 20
    raw = info_of(11, 20)
    wanted, agent = await magnet(plane, raw)
    await ask(plane, wanted, Intent.RUN, 1, 7)
    assert await given(plane, wanted, agent, raw) == MetadataVerdict(go=False, code="no_such_file")
    assert (await read_job(plane, wanted.job)).failure_code == "no_such_file"


async def test_more_than_the_quota_can_be_looked_at_and_a_part_of_it_fetched(plane: Plane) -> None:
    wanted, _ = await claimed(plane, TIB, 10, 20)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).go = False
        job = await tx.get_one(Job, wanted.job)
        job.intent, job.state = Intent.PAUSE, JobState.PAUSED
    with pytest.raises(QuotaSpent):
        async with plane.working() as tx:
            await steer.resume(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.PAUSED
    await chosen(plane, wanted, 1)
    async with plane.working() as tx:
        resumed = await steer.resume(tx, wanted.org, wanted.job, ACTOR, utcnow())
    assert resumed.whole.transfer.go


async def test_files_that_are_not_there_cannot_be_chosen(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 10, 20)
    with pytest.raises(BadInput) as refused:
        await chosen(plane, wanted, 1, 2)
    assert refused.value.code == "no_such_file"


async def ask(plane: Plane, wanted: Wanted, intent: Intent, *files: int) -> None:
    async with plane.working() as tx:
        job, transfer = await tx.get_one(Job, wanted.job), await tx.get_one(Transfer, wanted.transfer)
        job.intent, job.files = intent, list(files) or None
        transfer.intent = intent


async def given(plane: Plane, wanted: Wanted, agent: FakeAgent, raw: bytes) -> MetadataVerdict:
    epoch = agent.holds[wanted.transfer].epoch
    return await metadata.give(plane, agent.id, wanted.transfer, epoch, raw, utcnow())


async def file_sizes(plane: Plane, wanted: Wanted) -> list[int]:
    async with plane.db.working() as tx:
        found = select(File.size_bytes).where(File.torrent_id == wanted.torrent).order_by(File.index)
        return list(await tx.scalars(found))

"""Finish: parts become files, files a stored transfer, once, whatever was lost on the way."""

import asyncio

import pytest
from sqlalchemy import delete, func, select

from control.jobs.model import Event
from control.loops import finish
from control.plane import Plane
from control.storage.errors import NoSuchUpload
from control.storage.keys import prefix
from control.transfers.model import Part
from tests.support.fleet import (
    FakeAgent,
    Wanted,
    claimed,
    content,
    count_parts,
    read_job,
    read_object,
    read_objects,
    read_transfer,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import Claimed
from wire.states import JobState, Phase, TransferState
from wire.units import MIB

BIG = 9 * MIB


async def said_to_be_stored(plane: Plane, *sizes: int) -> tuple[Wanted, FakeAgent]:
    wanted, agent = await claimed(plane, *sizes)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    return wanted, agent


async def test_what_is_stored_is_completed_with_the_right_bytes(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG, 10, 0)
    await finish.step(plane, utcnow())
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, transfer.state, transfer.agent_id) == (JobState.COMPLETED, TransferState.STORED, None)
    objects = await read_objects(plane, wanted.transfer)
    assert [(row.file, row.size_bytes, row.stored_at is not None) for row in objects] == [
        (0, BIG, True),
        (1, 10, True),
        (2, 0, True),
    ]
    for row in objects:
        assert await read_object(plane.store, row.key) == content(row.file, row.size_bytes)


async def test_it_is_completed_once_though_many_work_at_it(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(finish.step(plane, utcnow()))
    async with plane.db.working() as tx:
        ends = select(func.count()).where(Event.job_id == wanted.job, Event.to_state == JobState.COMPLETED)
        assert await tx.scalar(ends) == 1


async def test_a_file_is_completed_while_others_still_come(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    parts, _ = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts))
    await finish.step(plane, utcnow())
    (row,) = await read_objects(plane, wanted.transfer)
    assert (row.file, row.stored_at is not None) == (0, True)
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.RUNNING


async def test_an_upload_that_was_completed_before_a_crash_is_taken_as_it_is(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG)
    (row,) = await read_objects(plane, wanted.transfer)
    assert row.upload_id is not None
    parts = await plane.store.parts(row.key, row.upload_id)
    await plane.store.complete(row.key, row.upload_id, [(part.part, part.etag) for part in parts])
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_parts_that_the_store_does_not_have_are_put_again(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG)
    parts, _ = await agent.put_everything(wanted)
    wrong = type(parts[1])(0, 2, parts[1].size_bytes, parts[1].crc32, "0" * 32)
    await agent.sync(agent.report(wanted.transfer, parts=[parts[0], wrong], done=True))
    await finish.step(plane, utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, await count_parts(plane, wanted.transfer)) == (TransferState.WAITING, 1)
    agent.revs.clear()
    answer = await agent.claim(wanted.transfer)
    assert isinstance(answer, Claimed)
    assert [part.part for part in answer.spec.parts] == [1]
    await agent.sync(agent.report(wanted.transfer, parts=parts, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_an_upload_that_is_gone_is_begun_anew(plane: Plane) -> None:
    wanted, agent = await said_to_be_stored(plane, BIG)
    (row,) = await read_objects(plane, wanted.transfer)
    await plane.store.abort(row.key, row.upload_id or "")
    with pytest.raises(NoSuchUpload):
        await plane.store.parts(row.key, row.upload_id or "")
    await finish.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING
    assert await read_objects(plane, wanted.transfer) == []
    agent.revs.clear()
    await agent.claim(wanted.transfer)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_an_upload_that_was_opened_and_never_written_down_is_closed(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG)
    (row,) = await read_objects(plane, wanted.transfer)
    await plane.store.open_upload(row.key)
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    assert await plane.store.uploads(prefix(wanted.org, wanted.torrent)) == []
    assert await read_object(plane.store, row.key) == content(0, BIG)


async def test_done_without_all_parts_is_not_believed(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG)
    async with plane.working() as tx:
        await tx.execute(delete(Part).where(Part.transfer_id == wanted.transfer, Part.part == 2))
    await finish.step(plane, utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.done) == (TransferState.WAITING, False)


async def test_what_was_all_stored_when_its_agent_died_needs_no_other(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files))
    agent.reboot()
    await agent.sync()  # a new boot that found nothing
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_transfers_that_wait_with_work_left_hide_none_that_is_done(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, agent = await claimed(plane, 10)
    await agent.sync(agent.report(waiting.transfer, handover=True))
    done, _ = await said_to_be_stored(plane, 10)
    await finish.step(plane, utcnow())
    other, _ = await said_to_be_stored(plane, 10)
    monkeypatch.setattr(finish, "TRANSFERS_AT_ONCE", 1)
    await finish.step(plane, utcnow())
    assert (await read_transfer(plane, done.transfer)).state is TransferState.STORED
    assert (await read_transfer(plane, other.transfer)).state is TransferState.STORED

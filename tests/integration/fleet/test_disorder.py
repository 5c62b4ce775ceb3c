"""Every sync of a transfer, each ten times and shuffled: the rows are those of one that said it once, in order."""

from contextlib import suppress
from random import Random

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from control.errors import Conflict
from control.loops import finish
from control.plane import Plane
from control.storage.keys import object_key
from control.transfers import record
from control.transfers.model import Object, Part, Transfer
from tests.support.fleet import FakeAgent, Wanted, claimed, content, read_job, wants_of
from wire.clock import utcnow
from wire.messages import FileStored, PartStored, Sync
from wire.states import JobState, Phase, TransferState
from wire.units import MIB

SIZES = (20 * MIB, 10, 20)
TIMES = 10


async def life(agent: FakeAgent, wanted: Wanted) -> list[Sync]:
    """What an agent says from the first part to the last file, as it would say it: all that is not acknowledged yet
    comes again with the next report."""
    big = [want for want, _ in wants_of(0, content(0, SIZES[0]))]
    await agent.grants(wanted.transfer, *big)
    parts = [PartStored(0, want.part, want.size_bytes, want.crc32, f"e{want.part}") for want in big]
    files = [FileStored(file, SIZES[file], 7, "e", object_key(wanted.org, wanted.torrent, file, 1)) for file in (1, 2)]
    reports = [
        agent.report(wanted.transfer, parts=parts[:1]),
        agent.report(wanted.transfer, parts=parts[:2], files=files[:1]),
        agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts),
        agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files),
    ]
    return [replace(agent.sync_body(report), rev=agent.rev + 1 + place) for place, report in enumerate(reports)]


async def say(plane: Plane, agent: FakeAgent, sync: Sync) -> None:
    with suppress(Conflict):  # a later one was recorded
        await record.sync(plane, agent.id, sync, utcnow())


async def rows(plane: Plane, wanted: Wanted) -> tuple[object, ...]:
    async with plane.db.working() as tx:
        transfer = await tx.get_one(Transfer, wanted.transfer)
        parts = await tx.execute(
            select(Part.file, Part.part, Part.etag, Part.epoch, Part.size_bytes, Part.crc32)
            .where(Part.transfer_id == wanted.transfer)
            .order_by(Part.file, Part.part)
        )
        objects = await tx.execute(
            select(Object.file, Object.size_bytes, Object.etag, Object.stored_at.is_not(None), Object.epoch)
            .where(Object.transfer_id == wanted.transfer)
            .order_by(Object.file)
        )
        return transfer.state, transfer.epoch, transfer.rev, transfer.tries, parts.all(), objects.all()


@pytest.mark.parametrize("seed", range(5))
async def test_each_sync_ten_times_and_shuffled_comes_to_the_same_rows(plane: Plane, seed: int) -> None:
    tidy, one = await claimed(plane, *SIZES)
    for sync in await life(one, tidy):
        await say(plane, one, sync)
    messy, other = await claimed(plane, *SIZES)
    said = (await life(other, messy)) * TIMES
    Random(seed).shuffle(said)
    for sync in said:
        await say(plane, other, sync)
    assert await rows(plane, messy) == await rows(plane, tidy)
    assert (await rows(plane, messy))[0] is TransferState.TAIL


async def test_what_arrives_after_the_end_changes_nothing(plane: Plane) -> None:
    """An agent that was cut off for long says it all again, when another has finished long ago."""
    wanted, agent = await claimed(plane, 10)
    (parts, files) = await agent.put_everything(wanted)
    late = agent.report(wanted.transfer, phase=Phase.RUNNING)
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    before = await rows(plane, wanted)
    for _ in range(TIMES):
        (verdict,) = (await agent.sync(late)).verdicts
        assert verdict.standing == "stale"
    assert await rows(plane, wanted) == before

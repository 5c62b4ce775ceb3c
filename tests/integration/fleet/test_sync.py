"""A sync is state: said once or ten times, it comes to the same; what is older is refused."""

import pytest

from control.errors import Conflict
from control.plane import Plane
from control.storage.keys import object_key
from control.transfers import record
from control.transfers.model import Transfer
from control.transfers.retry import TRIES_MAX
from tests.support.fleet import (
    add_agent,
    claimed,
    content,
    count_parts,
    new_pool,
    read_agent,
    read_job,
    read_objects,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import DISK_BUSY, Claimed, Failure, FileStored, PartStored
from wire.states import AgentState, Intent, JobState, Phase, TransferState
from wire.units import MIB

BIG = 20 * MIB


async def test_the_same_report_ten_times_is_recorded_once(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    want, _ = wants_of(0, content(0, BIG))[0]
    (grant,) = await agent.grants(wanted.transfer, want)
    small = FileStored(1, 10, 7, "e", object_key(wanted.org, wanted.torrent, 1, 1))
    report = agent.report(wanted.transfer, parts=[PartStored(0, 1, want.size_bytes, want.crc32, "e")], files=[small])
    for _ in range(10):
        (verdict,) = (await agent.sync(report)).verdicts
        assert (verdict.standing, verdict.intent, verdict.go) == ("ok", Intent.RUN, True)
    assert await count_parts(plane, wanted.transfer) == 1
    assert [(o.file, o.stored_at is not None, o.key) for o in await read_objects(plane, wanted.transfer)] == [
        (0, False, grant.key),
        (1, True, small.key),
    ]


async def test_an_older_sync_of_the_same_boot_is_refused(plane: Plane) -> None:
    agent = await add_agent(plane, new_pool())
    await agent.sync()
    with pytest.raises(Conflict) as refused:
        await record.sync(plane, agent.id, agent.sync_body(rev=1), utcnow())
    assert refused.value.code == "stale_sync"
    await record.sync(plane, agent.id, agent.sync_body(rev=agent.rev), utcnow())  # the answer was lost


async def test_a_report_older_than_one_that_is_recorded_changes_nothing(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    early = agent.report(wanted.transfer, phase=Phase.RUNNING)
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL))
    assert (await agent.sync(early)).verdicts == []  # neither acknowledged nor told to drop it
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.TAIL


async def test_parts_that_cannot_be_are_not_recorded(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    want, _ = wants_of(0, content(0, BIG))[0]
    wrong = [
        PartStored(0, 1, 5, 1, "too short"),
        PartStored(0, 4, 8 * MIB, 1, "no such part"),
        PartStored(1, 1, 10, 1, "a small file has none"),
        PartStored(7, 1, 8 * MIB, 1, "no such file"),
        PartStored(0, 1, want.size_bytes, want.crc32, "no upload is open"),
    ]
    elsewhere = object_key(wanted.org, wanted.org, 1, 1)
    files = [
        FileStored(1, 10, 1, "e", elsewhere),
        FileStored(1, 10, 1, "e", "k"),
        FileStored(1, 9, 1, "e", object_key(wanted.org, wanted.torrent, 1, 1)),
        FileStored(1, 10, 1, "e", object_key(wanted.org, wanted.torrent, 1, 2)),
    ]
    for part in wrong:
        await agent.sync(agent.report(wanted.transfer, parts=[part]))
    for file in files:
        await agent.sync(agent.report(wanted.transfer, files=[file]))
    assert await count_parts(plane, wanted.transfer) == 0
    assert await read_objects(plane, wanted.transfer) == []


async def test_phases_move_the_transfer_and_its_job(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    assert (await read_job(plane, wanted.job)).state is JobState.DOWNLOADING
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL))
    assert (await read_job(plane, wanted.job)).state is JobState.UPLOADING
    await agent.sync(agent.report(wanted.transfer, phase=Phase.HELD))  # leads back: left out
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.TAIL


async def test_a_failure_is_tried_again_later_and_the_fifth_time_not(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    broke = Failure("disk_full", "No room.")
    for tries in range(1, 5):
        await agent.sync(agent.report(wanted.transfer, failure=broke))
        transfer = await read_transfer(plane, wanted.transfer)
        assert (transfer.state, transfer.tries) == (TransferState.WAITING, tries)
        assert transfer.not_before is not None
        agent.holds.clear()
        agent.revs.clear()
        await agent.claim(wanted.transfer)
    await agent.sync(agent.report(wanted.transfer, failure=broke))
    job = await read_job(plane, wanted.job)
    assert (job.state, job.failure_code) == (JobState.FAILED, "disk_full")


async def test_an_agent_whose_disk_is_full_for_the_moment_costs_no_try(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    for _ in range(TRIES_MAX + 1):
        await agent.sync(agent.report(wanted.transfer, failure=Failure(DISK_BUSY, "others fill it")))
        transfer = await read_transfer(plane, wanted.transfer)
        assert (transfer.state, transfer.tries, transfer.failure_code) == (TransferState.WAITING, 0, DISK_BUSY)
        assert transfer.not_before is not None
        agent.revs.clear()
        assert isinstance(await agent.claim(wanted.transfer), Claimed)


async def test_what_was_stored_gives_the_tries_back(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 10)
    await agent.sync(agent.report(wanted.transfer, failure=Failure("disk_full", "No room.")))
    await agent.claim(wanted.transfer)
    agent.revs.clear()
    assert (await read_transfer(plane, wanted.transfer)).tries == 2
    small = FileStored(1, 10, 7, "e", object_key(wanted.org, wanted.torrent, 1, 2))
    await agent.sync(agent.report(wanted.transfer, files=[small]))
    assert (await read_transfer(plane, wanted.transfer)).tries == 0


async def test_a_failure_that_cannot_be_mended_ends_it(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await agent.sync(agent.report(wanted.transfer, failure=Failure("metadata_mismatch", "Other.", retryable=False)))
    assert (await read_job(plane, wanted.job)).failure_code == "metadata_mismatch"


async def test_an_agent_that_leaves_hands_everything_over_and_is_no_more_ready(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await agent.sync(agent.report(wanted.transfer), leaving=True)
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.agent_id, transfer.tries) == (TransferState.WAITING, None, 0)
    assert (await read_agent(plane, agent.id)).state is AgentState.LOST
    agent.reboot()
    await agent.sync()
    assert (await read_agent(plane, agent.id)).state is AgentState.READY


async def test_an_agent_hears_that_nobody_wants_it_and_lets_go(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).intent = Intent.STOP
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert (verdict.standing, verdict.intent) == ("ok", Intent.STOP)
    agent.holds.clear()
    await agent.sync()
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STOPPED

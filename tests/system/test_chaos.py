"""Three rounds of chaos come out clean; and the checker that says so sees what a bug would leave behind."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support import bucket
from tests.support.chaos import checker, rounds, world
from tests.support.chaos.checker import Fault
from tests.support.chaos.schedule import Ask, Round, drawn
from tests.support.chaos.world import Asked, World
from tests.support.folders import open_folder

SEED = 20261121
FIRST, LAST = 1, 3
CONTENT = "two"

Plant = Callable[[World, Asked], Awaitable[None]]


@pytest.fixture(scope="module")
async def beaten() -> AsyncIterator[World]:
    with open_folder() as folder:
        async with world.opened(folder) as w:
            yield w


@pytest.mark.parametrize("number", range(FIRST, LAST + 1))
async def test_a_round_of_chaos_comes_out_clean(beaten: World, number: int) -> None:
    played = await rounds.play(beaten, drawn(SEED, number))
    assert played.wrong == [], played.round


async def lose_an_object(w: World, job: Asked) -> None:
    bucket.client(w.stack).remove_object(bucket.BUCKET, await key_of(w, job))


async def change_its_bytes(w: World, job: Asked) -> None:
    bucket.client(w.stack).put_object(bucket.BUCKET, await key_of(w, job), io.BytesIO(b"other"), 5)


async def store_it_again(w: World, job: Asked) -> None:
    again = (await key_of(w, job)).rpartition("/")[0] + "/99"
    bucket.client(w.stack).put_object(bucket.BUCKET, again, io.BytesIO(b"again"), 5)


async def leave_an_upload_open(w: World, job: Asked) -> None:
    bucket.client(w.stack)._create_multipart_upload(bucket.BUCKET, await key_of(w, job), {})


async def leave_a_folder_behind(w: World, job: Asked) -> None:
    (w.stack.data / "agents" / "1" / "transfers" / job.id).mkdir()


async def move_against_the_table(w: World, job: Asked) -> None:
    async with w.stack.database() as database:
        await database.execute(
            "INSERT INTO job_events (job_id, version, org_id, from_state, to_state, who, why, at)"
            " SELECT job_id, version + 1000, org_id, 'completed', 'queued', who, why, at FROM job_events"
            " WHERE job_id = $1 ORDER BY version DESC LIMIT 1",
            job.id,
        )


async def lose_the_job(w: World, job: Asked) -> None:
    async with w.stack.database() as database:
        await database.execute("UPDATE jobs SET removed_at = now() WHERE id = $1", job.id)


async def key_of(w: World, job: Asked) -> str:
    async with w.stack.database() as database:
        found = await database.fetchval(
            "SELECT o.key FROM objects o JOIN jobs j USING (transfer_id) WHERE j.id = $1 ORDER BY o.file LIMIT 1",
            job.id,
        )
    return str(found)


@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (lose_an_object, Fault.CORRUPT_OBJECT),
        (change_its_bytes, Fault.CORRUPT_OBJECT),
        (store_it_again, Fault.DUPLICATE_STORE),
        (leave_an_upload_open, Fault.LEFTOVER),
        (leave_a_folder_behind, Fault.LEFTOVER),
        (move_against_the_table, Fault.ILLEGAL_MOVE),
        (lose_the_job, Fault.LOST_JOB),
    ],
)
async def test_the_checker_sees_what_a_bug_would_leave_behind(beaten: World, plant: Plant, fault: Fault) -> None:
    quiet = Round(0, [Ask(0, 0, CONTENT, "torrent", [])], [])
    (job,) = await rounds.asked(beaten, quiet)
    try:
        assert await rounds.settled(beaten, [job]) == []
        with rounds.held_still(beaten.stack.pids("agent")):  # they would clear away what is left on their disks
            await plant(beaten, job)
            found = checker.wrong(await world.picture(beaten, [job], digests=True))
        assert {each.fault for each in found} >= {fault}
    finally:
        await rounds.removed(beaten, [job])
        await rounds.settled(beaten, [])  # the next one may ask for the same torrent: it must not get what we broke

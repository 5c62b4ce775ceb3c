"""Files chosen while their transfer passes through a window: what has left the disk is fetched again, what not, not."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from control.config import Settings
from control.jobs.model import Job
from control.transfers.model import Transfer
from tests.support import room as rooms
from tests.support.member import Member
from tests.support.room import Room
from tests.support.swarm import swarm
from wire.units import MIB

SIZES = {"a.bin": 9 * MIB + 5, "b.bin": 3 * MIB + 1, "c.bin": 9 * MIB}
"""The first and the second share a piece."""
BUDGET = 16 * MIB
SLOW = 2 * MIB
LIMIT_S = 60.0


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


async def stored(member: Member, job_id: str, index: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not (await member.files(job_id))[index]["stored"]:
            assert (await member.job(job_id))["state"] != "completed"
            await asyncio.sleep(0.1)


async def choose(member: Member, job_id: str, *files: int) -> None:
    (await member.http.patch(f"/api/v1/jobs/{job_id}", json={"files": files})).raise_for_status()


async def test_what_left_a_window_and_is_chosen_after_all_comes_with_the_next_claim(room: Room, tmp_path: Path) -> None:
    async with swarm(tmp_path, SIZES, rate_bytes=SLOW, seed=31) as source, room.member() as member:
        async with room.agent(tmp_path / "agent", agent_disk_bytes=BUDGET):
            job_id = (await member.add_torrent(source.torrent))["id"]
            await choose(member, job_id, 0, 2)
            await stored(member, job_id, 0)
            await choose(member, job_id, 0, 1, 2)
            await member.until(job_id, "completed")
        async with room.plane.working() as tx:
            job = await tx.get_one(Job, UUID(job_id))
            transfer = await tx.get_one(Transfer, job.transfer_id)
        assert (transfer.epoch, transfer.tries) == (2, 0), "handed over once, which is no try"
        for index, name in enumerate(SIZES):
            content = (source.content / name).read_bytes()
            assert await member.sha256_of(job_id, index) == hashlib.sha256(content).hexdigest()
        await member.remove(job_id)

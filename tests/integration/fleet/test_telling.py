"""Progress in full: an agent that is asked tells its pieces, files and trackers, to the job's organisation alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.config import Settings
from tests.support import room as rooms
from tests.support.member import Member, View
from tests.support.room import Room
from tests.support.swarm import HOST, swarm
from wire.units import MIB

SIZES = {"big.bin": 17 * MIB, "small.txt": 100}
SLOW = MIB
LIMIT_S = 60.0


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


async def progress(member: Member, job_id: str) -> View:
    answer = await member.http.get(f"/api/v1/jobs/{job_id}/progress")
    answer.raise_for_status()
    told: View = answer.json()
    return told


async def midway(member: Member, job_id: str) -> View:
    """Until some of it is there, and some is missing."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            told = await progress(member, job_id)
            if told["live"] and told["pieces"] and {state for state, _ in told["pieces"]["cells"]} >= {0, 1}:
                return told
            assert (await member.job(job_id))["state"] != "completed"


async def test_who_looks_closely_is_told_everything_and_a_stranger_nothing(room: Room, tmp_path: Path) -> None:
    async with swarm(tmp_path, SIZES, rate_bytes=SLOW, seed=91) as seeded, room.member() as member:
        async with room.agent(tmp_path / "agent") as hand:
            job = await member.add_torrent(seeded.torrent)
            told = await midway(member, job["id"])
            pieces = told["pieces"]
            assert sum(count for _, count in pieces["cells"]) == pieces["count"] <= 512
            (file,) = told["files"]
            assert file["index"] == 0
            assert 0 <= file["stored_bytes"] <= file["down_bytes"] < SIZES["big.bin"]
            assert file["down_bytes"] > 0
            (tracker,) = told["trackers"]
            assert tracker["address"].startswith(f"http://{HOST}:")
            assert "announce" not in tracker["address"]
            assert (tracker["tier"], tracker["word"]) == (0, "ok")
            rates = told["rates"]
            assert rates["peers"] == 1
            assert rates["stuck"] is None
            async with room.member() as stranger:
                answer = await stranger.http.get(f"/api/v1/jobs/{job['id']}/progress")
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            hand.kill()
            told = await progress(member, job["id"])
        assert not told["live"]
        assert told["pieces"] is None
        assert [each["word"] for each in told["trackers"]] == [None]
        await member.cancel(job["id"])

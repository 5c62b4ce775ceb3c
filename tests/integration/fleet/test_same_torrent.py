"""Two organisations want the same torrent of one agent, whose engine takes it once."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.config import Settings
from tests.support import room as rooms
from tests.support.control import operating
from tests.support.member import Member, midway
from tests.support.room import Room
from tests.support.swarm import Swarm, swarm
from wire.units import MIB

SIZES = {"a.bin": 24 * MIB + 5}
SLOW = 2 * MIB


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


@pytest.fixture
async def gives(room: Room) -> AsyncIterator[None]:
    """Whatever is stored is given to peers for hours."""
    async with operating(room.plane, room.api) as http:
        pool = f"/fleet/pools/{room.pool}"
        (await http.put(pool, json={"seeding": {"when": "after", "ratio": 10.0}})).raise_for_status()
        yield
        (await http.put(pool, json={"seeding": {"when": "downloading"}})).raise_for_status()


async def test_who_has_paused_it_keeps_nobody_else_from_it_and_goes_on_later(room: Room, tmp_path: Path) -> None:
    async with (
        swarm(tmp_path, SIZES, seed=81, rate_bytes=4 * SLOW) as source,
        room.member() as first,
        room.member() as second,
        room.agent(tmp_path / "agent"),
    ):
        held = (await first.add_torrent(source.torrent))["id"]
        (await first.http.patch(f"/api/v1/jobs/{held}", json={"down_max": SLOW})).raise_for_status()
        await midway(first, held, 0.1, "down_bytes")
        (await first.http.post(f"/api/v1/jobs/{held}/pause")).raise_for_status()
        other = (await second.add_torrent(source.torrent))["id"]
        await midway(second, other, 0.1, "down_bytes")
        assert (await first.job(held))["state"] == "paused"
        (await first.http.patch(f"/api/v1/jobs/{held}", json={"down_max": 0})).raise_for_status()
        (await first.http.post(f"/api/v1/jobs/{held}/resume")).raise_for_status()
        await completed(second, other, source)
        await completed(first, held, source)
        await first.remove(held)
        await second.remove(other)


@pytest.mark.usefixtures("gives")
async def test_who_only_gives_it_to_peers_keeps_nobody_else_from_it(room: Room, tmp_path: Path) -> None:
    async with (
        swarm(tmp_path, SIZES, seed=82) as source,
        room.member() as first,
        room.member() as second,
        room.agent(tmp_path / "agent"),
    ):
        seed = (await first.add_torrent(source.torrent))["id"]
        await completed(first, seed, source)
        other = (await second.add_torrent(source.torrent))["id"]
        await completed(second, other, source)
        seeding = (await first.job(seed))["seeding"]
        assert (seeding["ended_at"], seeding["given_bytes"]) == (None, 0), "it goes on when its turn comes"
        await first.remove(seed)
        await second.remove(other)


async def completed(member: Member, job_id: str, source: Swarm) -> None:
    await member.until(job_id, "completed")
    digest = hashlib.sha256((source.content / "a.bin").read_bytes()).hexdigest()
    assert await member.sha256_of(job_id, 0) == digest

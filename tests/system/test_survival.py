"""Somebody kills every process in turn, in mid-transfer: the job completes, and everything is there once."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import agents, bucket, control_bus, up
from tests.support.control import magnet
from tests.support.folders import open_folder
from tests.support.leechers import leechers
from tests.support.member import Member, midway, signed_up
from tests.support.swarm import Swarm, swarm
from wire.metainfo import parse_torrent
from wire.units import KIB, MIB

RATE = 12 * MIB
"""The seeder's: the transfer takes some four seconds, long enough to be in the middle of it."""
SIZES = {
    "big.bin": 33 * MIB + 7,
    "middle.bin": 9 * MIB,
    "small/one.txt": 3 * KIB,
    "small/empty": 0,
    "small/two.txt": 70 * KIB,
}
GIVEN_RATE, MORE_RATE = MIB // 4, 4 * MIB
"""To peers, until one of its agents was killed, and then: when all is stored, they have a twentieth of it."""
ALLOW = "control.pool_allow=default=127.77.0.0/16"
"""The swarm and its leechers."""
POOL = "/api/v1/fleet/pools/default"
GIVEN, GIVEN_S = "It has been given to peers as often as was agreed.", 90
RATIO = 0.3
"""Far below one: what libtorrent gave to a peer in its last second is not counted, nor what was given in the last one
before a kill."""
STORE_BACK_S = 20.0


@pytest.fixture(scope="module")
async def hardy() -> AsyncIterator[up.Up]:
    with open_folder() as folder:
        async with up.running(folder, sets=[*up.PATIENCE, ALLOW]) as running:
            yield running


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Swarm]:
    async with swarm(tmp_path, SIZES, rate_bytes=RATE, seed=hash(tmp_path.name) % 1000) as swarming:
        yield swarming


async def all_there_once(stack: up.Up, member: Member, job_id: str, source: Swarm) -> None:
    files = await member.files(job_id)
    wanted = {f.index: f for f in parse_torrent(source.torrent).info.content}
    assert {f["index"] for f in files} == set(wanted)
    for index, file in wanted.items():
        content = source.content.joinpath(*file.path).read_bytes()
        found = await member.sha256_of(job_id, index, patience_s=STORE_BACK_S)
        assert found == hashlib.sha256(content).hexdigest(), file.path
    torrent = await torrent_id(stack, job_id)
    torrent_keys = [key for key in bucket.keys(stack) if key.split("/")[1] == torrent]
    assert len(torrent_keys) == len(wanted), torrent_keys
    assert bucket.open_uploads(stack) == []


async def torrent_id(stack: up.Up, job_id: str) -> str:
    async with stack.database() as connection:
        return str(await connection.fetchval("SELECT torrent_id FROM jobs WHERE id = $1", job_id))


@pytest.mark.parametrize("victim", ["api", "work", "nats", "postgres", "s3", "agent"])
async def test_the_job_completes_although_one_of_them_was_killed(hardy: up.Up, slow: Swarm, victim: str) -> None:
    async with signed_up(hardy.api) as member:
        job = await member.add_torrent(slow.torrent)
        await midway(member, job["id"])
        boot = (await agents.listed(hardy))["local-1"]["boot"]
        killed = hardy.kill(victim)
        await member.until(job["id"], "completed")
        assert not set(killed) & set(hardy.pids(victim))
        if victim == "agent":
            await agents.until_boot_after(hardy, "local-1", boot)
        await all_there_once(hardy, member, job["id"], slow)


async def test_deleting_both_streams_under_load_costs_only_seconds(hardy: up.Up, slow: Swarm, tmp_path: Path) -> None:
    async with signed_up(hardy.api) as member, swarm(tmp_path, {"other.bin": 20 * MIB}, seed=5000) as other:
        job = await member.add_magnet(slow.magnet)
        await midway(member, job["id"])
        await control_bus.delete_streams(hardy)
        second = await member.add_torrent(other.torrent)
        await member.until(job["id"], "completed")
        await member.until(second["id"], "completed")
        await all_there_once(hardy, member, job["id"], slow)


async def test_postgres_gone_for_a_while_everything_waits_and_goes_on(hardy: up.Up, slow: Swarm) -> None:
    async with signed_up(hardy.api) as member:
        job = await member.add_torrent(slow.torrent)
        await midway(member, job["id"])
        asleep = hardy.pids("postgres")
        for pid in asleep:
            os.killpg(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(20)
        finally:
            for pid in asleep:
                os.killpg(pid, signal.SIGCONT)
        await member.until(job["id"], "completed")
        await all_there_once(hardy, member, job["id"], slow)


async def test_who_is_killed_while_it_gives_goes_on_until_it_gave_what_was_agreed(
    hardy: up.Up, slow: Swarm, tmp_path: Path
) -> None:
    """To a peer that knows nobody but the agent, which by then has nobody to take from."""
    torrent = tmp_path / "given.torrent"
    torrent.write_bytes(slow.torrent)
    async with (
        giving(hardy, {"when": "after", "ratio": RATIO}),
        leechers(torrent, slow.content, tmp_path / "peers", 1, 0) as peers,
        signed_up(hardy.api) as member,
    ):
        job = await member.add_magnet(slow.magnet + "".join(f"&x.pe={peer}" for peer in peers.peers))
        await limited(member, job["id"], GIVEN_RATE)
        await member.until(job["id"], "completed")
        slow.process.terminate()
        before = await given(member, job["id"], lambda seeding: seeding["given_bytes"] > 0)
        assert before["ratio"] < RATIO
        hardy.kill("agent")
        await limited(member, job["id"], MORE_RATE)
        after = await given(member, job["id"], lambda seeding: seeding["ended_at"] is not None)
        assert after["sentence"] == GIVEN
        assert await peers.count() >= after["given_bytes"] >= RATIO * sum(SIZES.values()) > before["given_bytes"]


async def limited(member: Member, job_id: str, up_max: int) -> None:
    (await member.http.patch(f"/api/v1/jobs/{job_id}", json={"up_max": up_max})).raise_for_status()


async def given(member: Member, job_id: str, enough: Callable[[Any], bool]) -> dict[str, Any]:
    """What the completed job says of its seeding, once that is so."""
    async with asyncio.timeout(GIVEN_S):
        while True:
            view = (await member.http.get(f"/api/v1/jobs/{job_id}")).json()
            assert view["state"] == "completed"
            if enough(view["seeding"]):
                return dict(view["seeding"])
            await asyncio.sleep(0.2)


@asynccontextmanager
async def giving(stack: up.Up, seeding: dict[str, object]) -> AsyncIterator[None]:
    """For as long, the pool says so."""
    async with agents.operator(stack) as http:
        (await http.put(POOL, json={"seeding": seeding})).raise_for_status()
        yield
        (await http.put(POOL, json={"seeding": {"when": "downloading"}})).raise_for_status()


async def test_the_whole_stack_stopped_or_killed_goes_on_when_it_is_started_again(tmp_path: Path, slow: Swarm) -> None:
    stack = await up.begin(tmp_path / "stack", sets=up.PATIENCE)
    try:
        async with signed_up(stack.api) as member:
            job = await member.add_torrent(slow.torrent)
            for how, share in ((signal.SIGTERM, 0.2), (signal.SIGKILL, 0.5)):
                await midway(member, job["id"], share)
                assert await stack.stop(how=how) == (0 if how is signal.SIGTERM else -how)
                stack = await up.begin(tmp_path / "stack", sets=up.PATIENCE)
                assert stack.ready.admin_password is None
            await member.until(job["id"], "completed")
            await all_there_once(stack, member, job["id"], slow)
            assert await stack.stop() == 0
    finally:
        await stack.stop(how=signal.SIGKILL)


async def test_without_agents_a_job_is_taken_and_shown_as_submitted(bare: up.Up) -> None:
    await agents.until_none_is_left(bare)
    async with signed_up(bare.api) as member:
        job = await member.add_magnet(magnet("5b"))
        async with member.hearing(job["id"]) as heard:
            async for said in heard:
                assert said.event == "snapshot"
                assert said.data["state"] == "submitted"
                break
        await member.http.post(f"/api/v1/jobs/{job['id']}/cancel")  # the next story's agent would take it

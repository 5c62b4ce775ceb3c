"""Failing well: each way to fail, with real agents, swarm, store and loops; what its owner reads, and how it ends."""

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from control.config import Settings
from control.jobs.model import Job
from control.transfers.model import Object, Part, Transfer
from stack.demo import seeder, torrent, tracker
from stack.listen import listening
from tests.integration.fleet.conftest import TIME_SCALE
from tests.support import room as rooms
from tests.support.agents import Hand
from tests.support.member import Member, View
from tests.support.proxy import Fault
from tests.support.room import Room
from tests.support.swarm import HOST, Swarm, known, swarm, write_content
from tests.support.until import until
from wire.failures import FAILURES
from wire.metainfo import parse_torrent
from wire.units import MIB

LIMIT_S = 30.0
GRANT_S = 2
PASSKEY = "0123456789abcdef0123456789abcdef"
SIZES = {"big.bin": 17 * MIB, "small.txt": 100}
ONE_FILE = {"small.bin": 2 * MIB}
SLOW = 6 * MIB


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


@asynccontextmanager
async def tracker_that_says(answer: bytes) -> AsyncIterator[str]:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()

    async with listening(say, socket.create_server((HOST, 0))) as port:
        yield f"http://{HOST}:{port}/announce?passkey={PASSKEY}"


def unseeded(folder: Path, *trackers: str, seed: int = 7) -> bytes:
    content = write_content(folder / f"lonely-{seed}", ONE_FILE, seed)
    return torrent.create(content, trackers=list(trackers))


async def until_failing(member: Member, job_id: str, *codes: str) -> View:
    """Until a try has failed, and it is said so."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            job = await member.job(job_id)
            if job["failure"]:
                assert job["failure"]["code"] in codes
                return job
            assert job["state"] != "completed"
            await asyncio.sleep(0.05)


async def all_there(member: Member, job_id: str, source: Swarm) -> None:
    for file in parse_torrent(source.torrent).info.content:
        content = source.content.joinpath(*file.path).read_bytes()
        assert await member.sha256_of(job_id, file.index) == hashlib.sha256(content).hexdigest()


async def transfer_of(room: Room, job_id: str) -> Transfer:
    async with room.plane.working() as tx:
        found = select(Transfer).join(Job, Job.transfer_id == Transfer.id).where(Job.id == job_id)
        return (await tx.scalars(found)).one()


async def parts_of(room: Room, job_id: str) -> int:
    async with room.plane.working() as tx:
        found = select(Part).join(Job, Job.transfer_id == Part.transfer_id).where(Job.id == job_id)
        return len((await tx.scalars(found)).all())


async def some_parts(room: Room, job_id: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await parts_of(room, job_id):
            await asyncio.sleep(0.02)


async def test_trackers_that_refuse_five_times_make_a_dead_letter(room: Room, tmp_path: Path) -> None:
    reason = f"unknown passkey {PASSKEY}".encode()
    async with tracker_that_says(b"d14:failure reason%d:%be" % (len(reason), reason)) as url, room.member() as member:
        async with room.agent(tmp_path / "agent", agent_refused_s=1):
            job = await member.add_torrent(unseeded(tmp_path, url))
            first = (await until_failing(member, job["id"], "tracker_refused"))["failure"]
            assert first["next_try_at"]
            assert first["retryable"]
            job = await member.until(job["id"], "failed")
        timeline = await member.timeline(job["id"])
    told = job["failure"]
    assert (told["code"], told["tries"], told["next_try_at"]) == ("tracker_refused", 5, None)
    assert told["sentence"] == FAILURES["tracker_refused"].sentence
    assert "says “unknown passkey [hidden]”" in told["detail"]
    assert [event["epoch"] for event in timeline if event["why"] == "tracker_refused"] == [1, 2, 3, 4, 5]
    assert PASSKEY not in json.dumps([job, timeline])
    assert (await transfer_of(room, job["id"])).dead_at is not None


async def test_a_magnet_whose_metadata_nobody_has(room: Room, tmp_path: Path) -> None:
    magnet = f"magnet:?xt=urn:btih:{'ab' * 20}"
    async with room.member() as member, room.agent(tmp_path / "agent", agent_metadata_s=1):
        job = await member.add_magnet(magnet)
        told = (await until_failing(member, job["id"], "metadata_timeout"))["failure"]
        assert "it has no trackers" in told["detail"]
        await member.cancel(job["id"])


async def test_a_torrent_without_seeder_stalls_and_is_told_stuck_before(room: Room, tmp_path: Path) -> None:
    async with tracker_that_says(b"d8:intervali900e5:peers0:e") as url, room.member() as member:
        async with room.agent(tmp_path / "agent", agent_stall_s=60):  # told after half of it
            job = await member.add_torrent(unseeded(tmp_path, url, seed=8))
            async with asyncio.timeout(LIMIT_S), member.hearing(job["id"]) as heard:
                async for said in heard:
                    if said.event == "progress" and (stuck := said.data["rates"]["stuck"]):
                        break
            assert stuck["code"] == "no_peers"
            assert f"http://{HOST}" in stuck["sentence"]
            assert "knows of nobody else" in stuck["sentence"]
            assert PASSKEY not in stuck["sentence"]
            await until_failing(member, job["id"], "stalled")
            await member.cancel(job["id"])


async def test_a_seed_that_begins_after_us_is_found_long_before_its_tracker_is_due_again(
    room: Room, tmp_path: Path
) -> None:
    """It cannot come to us: who is alone asks again."""
    content = write_content(tmp_path / "late", ONE_FILE, seed=9)
    async with tracker.serve(HOST, 0) as port, room.member() as member:
        url = f"http://{HOST}:{port}/announce"
        (file := tmp_path / "late.torrent").write_bytes(torrent.create(content, trackers=[url]))
        async with room.agent(tmp_path / "agent", agent_incoming=False):
            job = await member.add_torrent(file.read_bytes())
            await known(url, parse_torrent(file.read_bytes()).info.hashes, "incomplete")
            with seeder.seeding({file: content.parent}, HOST, 0):
                await member.until(job["id"], "completed")


@pytest.mark.parametrize(
    ("fault", "code"), [("error", "store_away"), ("reset", "store_away"), ("silence", "store_slow")]
)
async def test_a_store_that_fails_is_named_and_once_it_is_well_the_job_completes(
    room: Room, tmp_path: Path, fault: Fault, code: str
) -> None:
    async with swarm(tmp_path, ONE_FILE, seed=len(fault)) as seeded, room.member() as member:
        async with room.agent(tmp_path / "agent", agent_store_s=8):
            room.proxy.fault = fault
            try:
                job = await member.add_torrent(seeded.torrent)
                await until_failing(member, job["id"], code)
            finally:
                room.proxy.fault = None
            await member.until(job["id"], "completed")
            await all_there(member, job["id"], seeded)


async def test_a_part_that_is_late_for_its_grant_is_put_with_another(fleet_settings: Settings, tmp_path: Path) -> None:
    async with rooms.open_room(replace(fleet_settings, grant_s=GRANT_S * TIME_SCALE)) as room, room.member() as member:
        async with swarm(tmp_path, ONE_FILE, seed=31) as seeded, room.agent(tmp_path / "agent") as hand:
            room.proxy.fault = "delay"
            job = await member.add_torrent(seeded.torrent)
            await until(lambda: room.proxy.held > 0)
            held_at = time.monotonic()
            await until(lambda: time.monotonic() > held_at + GRANT_S + 1)  # the store counts whole seconds
            room.proxy.fault = None
            await member.until(job["id"], "completed")
            await all_there(member, job["id"], seeded)
            assert '"status":403' in hand.log.read_text()


async def test_an_upload_that_somebody_aborts_is_begun_anew(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part at a time, each of which takes four seconds: the second is on its way when the upload goes."""
    monkeypatch.setattr(room.proxy.up, "rate", 2 * MIB)
    async with swarm(tmp_path, SIZES, seed=41) as seeded, room.member() as member:
        async with room.agent(tmp_path / "agent", agent_uploads=1):
            job = await member.add_torrent(seeded.torrent)
            await some_parts(room, job["id"])
            async with room.plane.working() as tx:
                transfer = await transfer_of(room, job["id"])
                upload = (
                    await tx.scalars(
                        select(Object).where(Object.transfer_id == transfer.id, Object.upload_id.is_not(None))
                    )
                ).one()
            assert upload.upload_id is not None
            await room.plane.store.abort(upload.key, upload.upload_id)
            monkeypatch.undo()
            await until_failing(member, job["id"], "upload_gone")
            await member.until(job["id"], "completed")
            gone = [event for event in await member.timeline(job["id"]) if event["why"] == "upload_gone"]
            assert len(gone) == 1, "nobody goes on with it before the store was asked"
            await all_there(member, job["id"], seeded)


async def test_an_agent_whose_journal_was_torn_goes_on(room: Room, tmp_path: Path) -> None:
    async with swarm(tmp_path, SIZES, rate_bytes=SLOW, seed=51) as seeded, room.member() as member:
        async with room.agent(tmp_path / "agent") as hand:
            job = await member.add_torrent(seeded.torrent)
            await some_parts(room, job["id"])
            await killed(hand)
            (journal,) = hand.folder.glob("transfers/*/journal")
            whole = journal.read_bytes()
            journal.write_bytes(whole[:-5])
            await hand.start()
            await member.until(job["id"], "completed")
            await all_there(member, job["id"], seeded)


async def test_a_disk_that_takes_no_more_is_named(room: Room, tmp_path: Path) -> None:
    """No file of this agent may be larger than a MiB, root or not."""
    async with swarm(tmp_path, ONE_FILE, seed=61) as seeded, room.member() as member:
        async with room.agent(tmp_path / "full", file_bytes=MIB):
            job = await member.add_torrent(seeded.torrent)
            await until_failing(member, job["id"], "disk_full")
        async with room.agent(tmp_path / "roomy"):
            await member.until(job["id"], "completed")
            await all_there(member, job["id"], seeded)


async def test_a_torrent_that_kills_its_agents_is_a_dead_letter_after_five(room: Room, tmp_path: Path) -> None:
    """Whoever takes it is killed at once, and nothing of it is ever stored."""
    async with room.member() as member, room.agent(tmp_path / "agent") as hand:
        job = await member.add_torrent(unseeded(tmp_path, seed=71))
        for epoch in range(1, 6):
            await claimed_as(room, job["id"], epoch)
            await killed(hand)
            await hand.start()
        job = await member.until(job["id"], "failed")
    assert job["failure"]["code"] == "tries_spent"
    transfer = await transfer_of(room, job["id"])
    assert (transfer.epoch, transfer.tries, len(transfer.last_agents)) == (5, 5, 5)
    assert transfer.dead_at is not None


async def claimed_as(room: Room, job_id: str, epoch: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (await transfer_of(room, job_id)).epoch < epoch:
            await asyncio.sleep(0.02)


async def killed(hand: Hand) -> None:
    hand.kill()
    assert hand.process is not None
    await hand.process.wait()

"""Metadata from peers: checked against what was asked for, kept once, judged before anything is downloaded."""

import asyncio
import hashlib
import secrets

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from control.errors import BadInput, TooLarge
from control.loops import finish
from control.plane import Plane
from control.torrents import metadata
from control.torrents.model import File, Torrent
from tests.support.fleet import FakeAgent, Wanted, add_agent, add_transfer, new_pool, read_job, read_transfer
from wire.bencode import Encodable, encode
from wire.clock import utcnow
from wire.messages import MetadataVerdict
from wire.metainfo import parse_info
from wire.states import JobState, Phase, TransferState
from wire.units import MIB, TIB

PIECE = 16_384
SYNC_S = 5.0
"""Far more than a sync takes; a deadlock is noticed only at the end of the other transaction here."""


def info_of(*sizes: int) -> bytes:
    """Of many files in folders; another name each time, so another torrent."""
    files: list[Encodable] = [
        {b"length": size, b"path": [b"folder", f"{index}.bin".encode()]} for index, size in enumerate(sizes)
    ]
    pieces = b"\0" * 20 * -(-sum(sizes) // PIECE)
    name = secrets.token_hex(8).encode()
    return encode({b"name": name, b"piece length": PIECE, b"pieces": pieces, b"files": files})


async def magnet(plane: Plane, raw: bytes) -> tuple[Wanted, FakeAgent]:
    pool = new_pool()
    v1 = hashlib.sha1(raw, usedforsecurity=False).digest()
    wanted, agent = await add_transfer(plane, pool=pool, go=False, v1=v1), await add_agent(plane, pool)
    await agent.claim(wanted.transfer)
    await agent.sync(agent.report(wanted.transfer, phase=Phase.FETCHING_METADATA))
    return wanted, agent


async def give(plane: Plane, wanted: Wanted, agent: FakeAgent, raw: bytes) -> MetadataVerdict:
    return await metadata.give(plane, agent.id, wanted.transfer, 1, raw, utcnow())


async def test_it_is_kept_once_and_judged_go(plane: Plane) -> None:
    raw = info_of(10, 0, PIECE)
    wanted, agent = await magnet(plane, raw)
    assert (await read_job(plane, wanted.job)).state is JobState.METADATA_FETCH
    for _ in range(3):
        assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=True)
    assert await metadata.raw_info(plane, agent.id, wanted.transfer, 1) == raw
    async with plane.db.working() as tx:
        torrent = await tx.get_one(Torrent, wanted.torrent)
        rows = select(File.path, File.size_bytes).where(File.torrent_id == wanted.torrent).order_by(File.index)
        assert [tuple(row) for row in (await tx.execute(rows)).all()] == [
            ("folder/0.bin", 10),
            ("folder/1.bin", 0),
            ("folder/2.bin", PIECE),
        ]
    assert (torrent.size_bytes, torrent.files_count) == (PIECE + 10, 3)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer, phase=Phase.RUNNING))).verdicts
    assert verdict.go
    assert (await read_job(plane, wanted.job)).state is JobState.DOWNLOADING


async def test_what_is_fetched_whole_between_two_reports_is_completed(plane: Plane) -> None:
    raw = info_of(10)
    wanted, agent = await magnet(plane, raw)
    await give(plane, wanted, agent, raw)
    parts, files = await agent.put_everything(replace(wanted, sizes=(10,)))
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED


async def test_an_agent_is_heard_while_its_metadata_is_written_down(plane: Plane) -> None:
    """Thousands of files take a second; its sync in between once came to a deadlock over the torrent's row."""
    raw = info_of(10)
    wanted, agent = await magnet(plane, raw)
    async with plane.working() as writing:
        await metadata.keep(writing, wanted.torrent, metadata.Read(parse_info(raw), raw))
        async with asyncio.timeout(SYNC_S):
            await agent.sync(agent.report(wanted.transfer, phase=Phase.FETCHING_METADATA, done=True))
            await agent.sync(agent.report(wanted.transfer, phase=Phase.HELD, done=True))
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.HELD


async def test_another_torrents_info_is_refused(plane: Plane) -> None:
    wanted, agent = await magnet(plane, info_of(10))
    with pytest.raises(BadInput) as refused:
        await give(plane, wanted, agent, info_of(10))
    assert refused.value.code == "metadata_mismatch"
    assert not (await read_transfer(plane, wanted.transfer)).go


async def test_what_is_no_info_is_refused(plane: Plane) -> None:
    wanted, agent = await magnet(plane, info_of(10))
    for raw in (b"", b"de", b"d4:name", b"i1e", b"l" * 100):
        with pytest.raises(BadInput) as refused:
            await give(plane, wanted, agent, raw)
        assert refused.value.code.startswith("torrent_")
    with pytest.raises(TooLarge):
        await give(plane, wanted, agent, bytes(metadata.INFO_BYTES_MAX + 1))


async def test_more_than_the_quota_is_not_downloaded(plane: Plane) -> None:
    size, piece = TIB + PIECE, 256 * MIB
    pieces = b"\0" * 20 * -(-size // piece)
    raw = encode({b"name": secrets.token_hex(8).encode(), b"piece length": piece, b"pieces": pieces, b"length": size})
    wanted, agent = await magnet(plane, raw)
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=False, code="quota_spent")
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.failure_code, transfer.state) == (JobState.FAILED, "quota_spent", TransferState.FAILED)


async def test_version_2_alone_is_known_by_its_own_hash(plane: Plane) -> None:
    leaf: dict[bytes, Encodable] = {b"length": 100, b"pieces root": secrets.token_bytes(32)}
    raw = encode({b"file tree": {b"a": {b"": leaf}}, b"meta version": 2, b"name": b"a", b"piece length": PIECE})
    wanted, agent = await magnet(plane, raw)
    async with plane.working() as tx:
        torrent = await tx.get_one(Torrent, wanted.torrent)
        torrent.v1, torrent.v2 = None, hashlib.sha256(raw).digest()
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=True)
    async with plane.working() as tx:
        assert (await tx.get_one(Torrent, wanted.torrent)).v1 is None


async def test_twenty_thousand_files_are_kept(plane: Plane) -> None:
    raw = info_of(*[1] * 20_000)
    wanted, agent = await magnet(plane, raw)
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=True)
    async with plane.db.working() as tx:
        assert await tx.scalar(select(func.count()).where(File.torrent_id == wanted.torrent)) == 20_000


async def test_two_hashes_of_one_torrent_become_one_and_an_alias(plane: Plane) -> None:
    """A hybrid, asked for once by each of its hashes before anybody knew that they are one."""
    raw = hybrid()
    v1, v2 = hashlib.sha1(raw, usedforsecurity=False).digest(), hashlib.sha256(raw).digest()
    wanted, agent = await magnet(plane, raw)
    other = await add_transfer(plane, pool=new_pool(), go=False, org=wanted.org)
    async with plane.working() as tx:
        by_v2 = await tx.get_one(Torrent, other.torrent)
        by_v2.v1, by_v2.v2 = None, v2
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=True)
    async with plane.db.working() as tx:
        older, younger = await tx.get_one(Torrent, wanted.torrent), await tx.get_one(Torrent, other.torrent)
    assert (older.v1, older.v2, older.alias_of) == (v1, v2, None)
    assert (younger.alias_of, younger.metadata_known) == (older.id, False)


def hybrid() -> bytes:
    """One file of one piece, in both lists."""
    content = secrets.token_bytes(100)
    leaf = hashlib.sha256(content).digest()
    entry: dict[bytes, Encodable] = {b"length": len(content), b"pieces root": leaf}
    return encode(
        {
            b"file tree": {b"a.bin": {b"": entry}},
            b"length": len(content),
            b"meta version": 2,
            b"name": b"a.bin",
            b"piece length": PIECE,
            b"pieces": hashlib.sha1(content, usedforsecurity=False).digest(),
        }
    )

"""Torrents of every version and make, from a real seeder to objects in the store, compared byte for byte."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from control.config import Settings
from stack.demo import torrent
from stack.demo.torrent import Kind
from tests.support import room as rooms
from tests.support import site
from tests.support.member import Member
from tests.support.room import Room
from tests.support.site import Page
from tests.support.swarm import swarm, write_content
from wire.bencode import decode, encode
from wire.units import KIB, MIB

SIZES = {
    "a/large.bin": 9 * MIB + 5,
    "a/less than a piece": 100,
    "b/empty": 0,
    "b/just a piece": 64 * KIB,
    "b/one more": 64 * KIB + 1,
    "c.bin": 3 * MIB - 1,
}
PIECE_BYTES = 64 * KIB
KINDS: tuple[Kind, ...] = ("v1", "padded", "v2", "hybrid")


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


@pytest.fixture
async def agent(room: Room, tmp_path: Path) -> AsyncIterator[None]:
    async with room.agent(tmp_path / "agent"):
        yield


async def check_stored(member: Member, job_id: str, source: Path) -> None:
    job = await member.until(job_id, "completed")
    files = await member.files(job_id)
    assert {file["path"]: file["size_bytes"] for file in files} == SIZES, "neither pads nor symlinks are stored"
    assert job["size_bytes"] == sum(SIZES.values())
    for file in files:
        content = (source / file["path"]).read_bytes()
        assert await member.sha256_of(job_id, file["index"]) == hashlib.sha256(content).hexdigest(), file["path"]


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_torrent_file_of_every_version_is_stored_as_it_is(room: Room, tmp_path: Path, kind: Kind) -> None:
    seed = 40 + KINDS.index(kind)
    with_symlink(tmp_path / f"content-{seed}")
    async with swarm(tmp_path, SIZES, kind=kind, piece_bytes=PIECE_BYTES, seed=seed) as source, room.member() as member:
        job = await member.add_torrent(source.torrent)
        assert ((job["v1"] is None), (job["v2"] is None)) == (kind == "v2", kind in ("v1", "padded"))
        await check_stored(member, job["id"], source.content)
        await member.remove(job["id"])


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kind", ["v2", "hybrid"])
async def test_a_magnet_of_version_2_finds_metadata_and_hashes_at_its_peers(
    room: Room, tmp_path: Path, kind: Kind
) -> None:
    seed = 50 + KINDS.index(kind)
    async with swarm(tmp_path, SIZES, kind=kind, piece_bytes=PIECE_BYTES, seed=seed) as source, room.member() as member:
        _, _, topic = source.magnet.rpartition("xt=urn:btmh:")
        job = await member.add_magnet(f"magnet:?xt=urn:btmh:{topic}")
        assert (job["v1"], job["v2"]) == (None, topic[4:68])
        await check_stored(member, job["id"], source.content)
        assert ((await member.job(job["id"]))["v1"] is None) == (kind == "v2"), "a hybrid is known by both from now on"
        await member.remove(job["id"])


async def test_a_torrent_of_version_2_passes_through_a_window(room: Room, tmp_path: Path) -> None:
    """Its files begin with pieces of their own, also behind holes."""
    async with (
        room.agent(tmp_path / "agent", agent_disk_bytes=10 * MIB),
        swarm(tmp_path, SIZES, kind="v2", piece_bytes=PIECE_BYTES, seed=60) as source,
        room.member() as member,
    ):
        job = await member.add_torrent(source.torrent)
        await check_stored(member, job["id"], source.content)
        await member.remove(job["id"])


@pytest.mark.parametrize("disk", [{}, {"agent_disk_bytes": 10 * MIB}], ids=["whole", "through a window"])
async def test_version_2_is_stored_from_web_seeds_alone(room: Room, tmp_path: Path, disk: dict[str, int]) -> None:
    content = write_content(tmp_path / "content-70", SIZES, 70)
    known = decode(torrent.create(content, trackers=[], kind="v2", piece_bytes=PIECE_BYTES))
    assert isinstance(known, dict)
    pages = {f"/{content.name}/{quote(path)}": Page((content / path).read_bytes()) for path in SIZES}
    async with (
        room.agent(tmp_path / "agent", **disk),
        site.serving(pages) as web,
        room.member() as member,
    ):
        job = await member.add_torrent(encode({**known, b"url-list": f"{web.url}/".encode()}))
        await check_stored(member, job["id"], content)
        await member.remove(job["id"])


def with_symlink(folder: Path) -> None:
    folder.mkdir()
    (folder / "z").symlink_to("c.bin")

"""What lies at a URL, from a real web server to objects in the store: files of all manners, and `.torrent`s."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from control.config import Settings
from control.jobs.model import Job
from control.transfers.model import Part
from tests.support import room as rooms
from tests.support.member import Member, View
from tests.support.noise import Noise
from tests.support.room import Room
from tests.support.site import Page, serving
from tests.support.swarm import swarm
from wire.parts import PART_MIN_BYTES
from wire.units import MIB

LIMIT_S = 60.0
SECRET = "0123456789abcdef0123"
LARGE = Noise(7).read(20 * MIB + 5)


@pytest.fixture(scope="module")
async def room(fleet_settings: Settings) -> AsyncIterator[Room]:
    async with rooms.open_room(fleet_settings) as room:
        yield room


@pytest.fixture
async def agent(room: Room, tmp_path: Path) -> AsyncIterator[None]:
    async with room.agent(tmp_path / "agent"):
        yield


@pytest.fixture
async def member(room: Room) -> AsyncIterator[Member]:
    async with room.member() as member:
        yield member


async def add(member: Member, url: str) -> View:
    answer = await member.http.post("/api/v1/jobs", json={"url": url})
    assert answer.status_code == 201, answer.text
    job: View = answer.json()
    return job


async def check_stored(member: Member, job_id: str, name: str, content: bytes) -> View:
    job = await member.until(job_id, "completed")
    (file,) = await member.files(job_id)
    assert (file["path"], file["size_bytes"], job["name"]) == (name, len(content), name)
    assert await member.sha256_of(job_id, 0) == hashlib.sha256(content).hexdigest()
    return job


@pytest.mark.usefixtures("agent")
async def test_a_file_is_fetched_by_several_ranges_at_once(member: Member) -> None:
    async with serving({"/a%20b/large.bin": Page(LARGE, etag='"1"')}) as site:
        job = await add(member, f"{site.url}/a b/large.bin#here")
        assert (job["source"], job["name"], job["v1"], job["v2"]) == ("url", "large.bin", None, None)
        await check_stored(member, job["id"], "large.bin", LARGE)
        spans = [request.span for request in site.asked]
        assert all(request.fields["if-range"] == '"1"' for request in site.asked[1:])
        assert len(set(spans)) == len(spans) == 4, "its first bytes, and three runs of pieces, each once"


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize(
    "page",
    [
        Page(LARGE, ranges=False),
        Page(LARGE, ranges=False, length=False),
        Page(b""),
        Page(b"", ranges=False, length=False),
        Page(b"<html>", fields={"Content-Disposition": "attachment; filename*=UTF-8''f%C3%BCr.bin"}),
    ],
    ids=["no ranges", "no length", "empty", "empty and no length", "small, and named otherwise"],
)
async def test_a_file_comes_however_its_server_gives_it(member: Member, page: Page) -> None:
    async with serving({"/f.bin": page}) as site:
        job = await add(member, f"{site.url}/f.bin")
        name = "für.bin" if page.fields else "f.bin"
        await check_stored(member, job["id"], name, page.content)


@pytest.mark.usefixtures("agent")
async def test_a_url_of_a_torrent_is_that_torrent(member: Member, tmp_path: Path) -> None:
    async with swarm(tmp_path, {"a.bin": 9 * MIB, "b": 10}, seed=71) as source:
        async with serving({"/t": Page(source.torrent)}) as site:
            job = await add(member, f"{site.url}/t?passkey=0123456789abcdef")
            done = await member.until(job["id"], "completed")
        assert (done["v1"] is not None, done["name"]) == (True, source.content.name)
        for index, name in enumerate(("a.bin", "b")):
            content = (source.content / name).read_bytes()
            assert await member.sha256_of(job["id"], index) == hashlib.sha256(content).hexdigest()
        assert "is_torrent" in {event["why"] for event in await member.timeline(job["id"])}


async def part_stored(room: Room, job_id: str) -> None:
    """And known to be."""
    query = select(func.count()).select_from(Part).join(Job, Job.transfer_id == Part.transfer_id)
    async with asyncio.timeout(LIMIT_S):
        while True:
            async with room.plane.working() as tx:
                if await tx.scalar(query.where(Job.id == UUID(job_id))):
                    return
            await asyncio.sleep(0.05)


async def test_another_agent_goes_on_with_the_stored_parts(room: Room, member: Member, tmp_path: Path) -> None:
    page = Page(LARGE, etag='"1"', stop_at=PART_MIN_BYTES + MIB)
    async with serving({"/f": page}) as site:
        async with room.agent(tmp_path / "first") as first:
            job = await add(member, f"{site.url}/f")
            await part_stored(room, job["id"])
            first.kill()
        asked, page.stop_at = len(site.asked), None
        async with room.agent(tmp_path / "second"):
            await check_stored(member, job["id"], "f", LARGE)
        spans = [request.span for request in site.asked[asked:] if request.span]
        fetched = sum((last or 0) - begin + 1 for begin, last in spans)
        assert fetched <= len(LARGE) - PART_MIN_BYTES, "what is stored is not asked for again, nor what lies there"


@pytest.mark.usefixtures("agent")
async def test_a_file_that_is_replaced_under_way_is_told_by_its_code(room: Room, member: Member) -> None:
    page = Page(LARGE, etag='"1"', stop_at=PART_MIN_BYTES + MIB)
    async with serving({"/f": page}) as site:
        job = await add(member, f"{site.url}/f")
        await part_stored(room, job["id"])
        page.content, page.etag, page.stop_at = bytes(len(LARGE)), '"2"', None
        failure = (await member.until(job["id"], "failed"))["failure"]
    assert (failure["code"], failure["retryable"]) == ("url_changed", False)


async def test_a_file_without_ranges_passes_through_a_window(room: Room, member: Member, tmp_path: Path) -> None:
    async with serving({"/f": Page(LARGE, ranges=False)}) as site:
        async with room.agent(tmp_path / "agent", agent_disk_bytes=13 * MIB):
            job = await add(member, f"{site.url}/f")
            await check_stored(member, job["id"], "f", LARGE)


async def test_secrets_of_addresses_are_in_no_log_and_in_no_answer(
    room: Room, member: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = f"unknown passkey {SECRET}"
    refusal = f"d14:failure reason{len(reason)}:{reason}e".encode()
    pages = {"/announce": Page(refusal, ranges=False), "/f": Page(status=503)}
    async with serving(pages) as site, room.agent(tmp_path / "agent", log_level="debug") as hand:
        ids = [(await add(member, f"{site.url}/f?sig={SECRET}"))["id"]]
        tracker = f"{site.url}/announce%3Fpasskey={SECRET}"  # on loopback libtorrent asks at no other path
        magnet = f"magnet:?xt=urn:btih:{'5a' * 20}&tr={tracker}"
        ids.append((await member.add_magnet(magnet))["id"])
        async with asyncio.timeout(LIMIT_S):
            while not {"announce", "f"} <= {each.path.partition("?")[0].rpartition("/")[2] for each in site.asked}:
                await asyncio.sleep(0.05)
        said = list[str]()
        for job_id in ids:
            paths = [f"/api/v1/jobs/{job_id}{path}" for path in ("", "/timeline", "/progress", "/files")]
            said += [(await member.http.get(path)).text for path in paths]
            await member.cancel(job_id)
        said.append(hand.log.read_text())
    said.append("".join(capsys.readouterr()))
    assert not [text for text in said if SECRET in text]

"""What lies at a URL, from a real web server to objects in the store: files of all manners, and `.torrent`s."""

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.config import Settings
from tests.support import room as rooms
from tests.support.member import Member, View
from tests.support.room import Room
from tests.support.site import Page, serving
from tests.support.swarm import swarm
from wire.units import MIB

LARGE = random.Random(7).randbytes(20 * MIB + 5)


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


async def failed(member: Member, job_id: str) -> View:
    failure: View = (await member.until(job_id, "failed"))["failure"]
    return failure


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

"""The blocklist: what is on it is let in nowhere, and ends wherever it is, with all that it has stored."""

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from msgspec import Struct

from control.audit.service import Actor
from control.jobs import steer
from control.loops import blocked, finish, purge
from control.plane import Plane
from control.storage.keys import prefix
from control.torrents import blocklist
from control.torrents.model import Block, Torrent
from tests.integration.fleet.test_finish import BIG, said_to_be_stored
from tests.integration.fleet.test_metadata import give, hybrid, magnet
from tests.support.control import operating, serving
from tests.support.fleet import Wanted, add_transfer, claimed, read_job, read_objects, read_transfer
from tests.support.member import signed_up
from wire.clock import utcnow
from wire.messages import MetadataVerdict
from wire.metainfo import parse_info
from wire.states import JobState, TransferState

ADMIN = Actor(name="person:tests")
CODE = "torrent_blocked"


async def block(plane: Plane, *hashes: bytes, now: dt.datetime | None = None) -> None:
    async with plane.working() as tx:
        await blocklist.block(tx, dict.fromkeys(hashes, "tests"), ADMIN, now or utcnow())


async def hash_of(plane: Plane, wanted: Wanted) -> bytes:
    async with plane.db.working() as tx:
        v1 = (await tx.get_one(Torrent, wanted.torrent)).v1
    assert v1 is not None
    return v1


async def assert_over(plane: Plane, wanted: Wanted) -> None:
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.failure_code) == (JobState.FAILED, CODE)
    assert (transfer.state, transfer.agent_id, transfer.go) == (TransferState.FAILED, None, False)
    assert await read_objects(plane, wanted.transfer) == []


async def test_a_running_transfer_stops_and_nothing_of_it_is_left(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts[:1], files=files))
    await block(plane, await hash_of(plane, wanted))
    await blocked.step(plane, utcnow())
    await assert_over(plane, wanted)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer, parts=parts))).verdicts
    assert verdict.standing == "stale", "its agent drops it"
    await purge.step(plane, utcnow())
    below = prefix(wanted.org, wanted.torrent)
    assert (await plane.store.listed(below), await plane.store.uploads(below)) == ([], [])
    version = (await read_job(plane, wanted.job)).version
    await blocked.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).version == version, "the second step has nothing to do"


async def test_what_was_completed_fails_and_leaves_the_store(plane: Plane) -> None:
    wanted, _ = await said_to_be_stored(plane, BIG, 10)
    await finish.step(plane, utcnow())
    await block(plane, await hash_of(plane, wanted))
    await blocked.step(plane, utcnow())
    await assert_over(plane, wanted)
    await purge.step(plane, utcnow())
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) == []


async def test_a_paused_job_fails_like_any_other(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 100)
    async with plane.working() as tx:
        await steer.pause(tx, wanted.org, wanted.job, ADMIN, utcnow())
    await block(plane, await hash_of(plane, wanted))
    await blocked.step(plane, utcnow())
    await assert_over(plane, wanted)


async def test_the_same_torrent_by_another_name_ends_too(plane: Plane) -> None:
    """Two rows of one scope that turned out to be one: only the older has the blocked hash."""
    older = await add_transfer(plane, 100)
    younger = await add_transfer(plane, 100, org=older.org)
    async with plane.working() as tx:
        (await tx.get_one(Torrent, younger.torrent)).alias_of = older.torrent
    await block(plane, await hash_of(plane, older))
    await blocked.step(plane, utcnow())
    await assert_over(plane, older)
    await assert_over(plane, younger)


async def test_metadata_that_shows_a_blocked_hash_ends_the_magnet(plane: Plane) -> None:
    """It named only the v1 hash; the other one is on the list."""
    raw = hybrid()
    v2 = parse_info(raw).hashes.v2
    assert v2 is not None
    await block(plane, v2)
    wanted, agent = await magnet(plane, raw)
    assert await give(plane, wanted, agent, raw) == MetadataVerdict(go=False, code=CODE)
    await assert_over(plane, wanted)


async def test_what_was_being_added_at_that_moment_is_found_later(plane: Plane) -> None:
    v1, now = secrets.token_bytes(20), utcnow()
    await block(plane, v1, now=now)
    await blocked.step(plane, now)
    wanted = await add_transfer(plane, 100, v1=v1)  # its transaction had not seen the block yet
    later = now + dt.timedelta(seconds=plane.settings.wait(blocked.SLACK_S) + 1)
    await blocked.step(plane, later)
    await assert_over(plane, wanted)
    async with plane.db.working() as tx:
        assert (await tx.get_one(Block, v1)).settled


class Door(Struct, frozen=True):
    admin: httpx.AsyncClient
    url: str


@asynccontextmanager
async def open_door(plane: Plane) -> AsyncIterator[Door]:
    async with serving(plane) as url, operating(plane, url) as admin:
        yield Door(admin, url)


async def test_it_is_refused_when_asked_for_and_when_tried_again_until_it_is_unblocked(plane: Plane) -> None:
    v1 = secrets.token_bytes(20)
    ask = {"magnet": f"magnet:?xt=urn:btih:{v1.hex()}"}
    async with open_door(plane) as door, signed_up(door.url) as member:
        made = (await member.http.post("/api/v1/jobs", json=ask)).json()
        retry = f"/api/v1/jobs/{made['id']}/retry"
        said = await door.admin.post("/admin/blocklist", json={"hashes": [ask["magnet"]], "reason": "a court order"})
        assert said.json() == {"added": 1, "known": 0}
        await blocked.step(plane, utcnow())
        job = (await member.http.get(f"/api/v1/jobs/{made['id']}")).json()
        assert (job["state"], job["failure"]["code"], job["failure"]["retryable"]) == ("failed", CODE, False)
        for again in (await member.http.post("/api/v1/jobs", json=ask), await member.http.post(retry)):
            assert (again.status_code, again.json()["code"]) == (403, CODE)
        body = {"hashes": [v1.hex()], "reason": "lifted"}
        assert (await door.admin.post("/admin/blocklist/remove", json=body)).json() == {"removed": 1}
        assert (await member.http.post(retry)).json()["state"] == "submitted"


async def test_the_list_takes_many_at_once_says_which_it_knew_and_pages(plane: Plane) -> None:
    v1, other, v2 = secrets.token_hex(20), secrets.token_hex(20), secrets.token_hex(32)
    table = f'hash,reason\r\n{v1},"spam, and worse"\r\n\r\n{other}\r\nurn:btmh:1220{v2},\r\n'
    async with open_door(plane) as door:
        head, url = {"Content-Type": "text/csv"}, "/admin/blocklist/import?reason=others"
        sent = [(await door.admin.post(url, content=table.encode(), headers=head)).json() for _ in range(2)]
        assert sent == [{"added": 3, "known": 0}, {"added": 0, "known": 3}]
        first = (await door.admin.get("/admin/blocklist", params={"limit": 2})).json()
        then = (await door.admin.get("/admin/blocklist", params={"limit": 1, "cursor": first["next_cursor"]})).json()
        one = (await door.admin.get("/admin/blocklist", params={"hash": v2.upper()})).json()["items"]
        rows = (await door.admin.get("/admin/audit", params={"action": "torrent.blocked", "limit": 1})).json()["items"]
    items = [*first["items"], *then["items"]]
    assert {each["hash"]: each["reason"] for each in items} == {v1: "spam, and worse", other: "others", v2: "others"}
    assert [each["hash"] for each in one] == [v2]
    assert (rows[0]["detail"]["count"], rows[0]["detail"]["hashes"]) == (3, sorted([v1, other, v2]))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_hash"),
        (b"hash,reason\n", "bad_hash"),
        (b"{good},x\nnonsense,x\n", "bad_hash"),
        (b"{good},x,y\n", "bad_csv"),
        (b"{good}\n", "bad_reason"),
        (b'{good},"x\n', "bad_csv"),
        (b"\xff\xfe", "bad_csv"),
        (b"0" * 40 + b",x\n", "bad_hash"),
    ],
)
async def test_a_list_with_one_bad_line_is_refused_whole(plane: Plane, body: bytes, code: str) -> None:
    good = secrets.token_hex(20)
    async with open_door(plane) as door:
        content, head = body.replace(b"{good}", good.encode()), {"Content-Type": "text/csv"}
        answer = await door.admin.post("/admin/blocklist/import", content=content, headers=head)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert (await door.admin.get("/admin/blocklist", params={"hash": good})).json()["items"] == []
        plain = await door.admin.post("/admin/blocklist/import", json=[])
    assert plain.status_code == 415

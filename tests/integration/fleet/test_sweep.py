"""The store held against the rows, both ways: what is in one and not in the other is found, and cleaned up."""

import datetime as dt
import zlib
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from control.loops import finish, sweep
from control.plane import Plane
from control.storage.keys import object_key
from control.transfers.model import Sweep
from tests.support.control import operating, serving
from tests.support.fleet import Wanted, claimed, read_objects
from tests.support.member import View
from wire.clock import utcnow
from wire.ids import OrgId, TorrentId, new_id

LATER = dt.timedelta(days=2)


@pytest.fixture(scope="module")
async def operator(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(plane) as url, operating(plane, url) as http:
        yield http


async def put(plane: Plane, key: str, body: bytes = b"orphan") -> str:
    grant = plane.store.put_grant(key, size_bytes=len(body), crc32=zlib.crc32(body), now=utcnow(), expires_s=60)
    async with httpx.AsyncClient(trust_env=False) as agent:
        (await agent.put(grant.url, content=body, headers=dict(grant.headers))).raise_for_status()
    return key


async def swept(plane: Plane, operator: httpx.AsyncClient, now: dt.datetime, *, dry_run: bool) -> View:
    """To its end, and no further."""
    said: View = (await operator.post("/admin/storage/sweeps", json={"dry_run": dry_run})).json()
    while said["ended_at"] is None:
        assert await sweep.step(plane, now)
        said = (await operator.get(f"/admin/storage/sweeps/{said['id']}")).json()
    return said


async def stored(plane: Plane) -> Wanted:
    wanted, agent = await claimed(plane, 10, 20)
    _, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, files=files, done=True))
    await finish.step(plane, utcnow())
    return wanted


async def test_objects_without_a_row_are_found_and_only_then_removed(plane: Plane, operator: httpx.AsyncClient) -> None:
    wanted = await stored(plane)
    named = [row.key for row in await read_objects(plane, wanted.transfer)]
    orphan = await put(plane, object_key(OrgId(new_id()), TorrentId(new_id()), 0, 1))
    older = await put(plane, object_key(wanted.org, wanted.torrent, 7, 1))
    strange = await put(plane, f"somebody-elses/{new_id()}")
    later = utcnow() + LATER
    looked = await swept(plane, operator, later, dry_run=True)
    assert {f"orphan {orphan}", f"orphan {older}"} <= set(looked["examples"])
    assert all([await plane.store.head(key) for key in (orphan, older, strange, *named)])
    done = await swept(plane, operator, later, dry_run=False)
    assert (done["orphans"], done["orphan_bytes"]) == (looked["orphans"], looked["orphan_bytes"])
    assert [await plane.store.head(key) for key in (orphan, older)] == [None, None]
    assert all([await plane.store.head(key) for key in (strange, *named)])
    assert int(str(done["strange"])) >= 1
    assert (await swept(plane, operator, later, dry_run=True))["orphans"] == 0


async def test_what_is_young_or_of_the_epoch_that_runs_is_left(plane: Plane, operator: httpx.AsyncClient) -> None:
    young = await put(plane, object_key(OrgId(new_id()), TorrentId(new_id()), 0, 1))
    await swept(plane, operator, utcnow(), dry_run=False)
    assert await plane.store.head(young)
    wanted, agent = await claimed(plane, 10)
    _, (unreported,) = await agent.put_everything(wanted)
    await swept(plane, operator, utcnow() + LATER, dry_run=False)
    assert await plane.store.head(unreported.key)
    assert await plane.store.head(young) is None


async def test_a_row_without_its_object_is_forgotten_and_told(plane: Plane, operator: httpx.AsyncClient) -> None:
    wanted = await stored(plane)
    first, second = await read_objects(plane, wanted.transfer)
    await plane.store.remove([first.key])
    later = utcnow() + LATER
    looked = await swept(plane, operator, later, dry_run=True)
    assert f"lost {first.key}" in looked["examples"]
    assert len(await read_objects(plane, wanted.transfer)) == 2
    assert int(str((await swept(plane, operator, later, dry_run=False))["lost"])) >= 1
    assert [row.key for row in await read_objects(plane, wanted.transfer)] == [second.key]
    log = await operator.get("/admin/audit", params={"target": f"transfer:{wanted.transfer}"})
    assert [each["action"] for each in log.json()["items"]] == ["object.lost"]


async def test_uploads_that_nobody_wrote_down_are_aborted(plane: Plane, operator: httpx.AsyncClient) -> None:
    key = object_key(OrgId(new_id()), TorrentId(new_id()), 0, 1)
    await plane.store.open_upload(key)
    later = utcnow() + LATER
    assert int(str((await swept(plane, operator, later, dry_run=True))["uploads"])) >= 1
    assert await plane.store.uploads(key)
    await swept(plane, operator, later, dry_run=False)
    assert await plane.store.uploads(key) == []


async def test_there_is_one_a_day_without_anybodys_asking_and_a_second_step_has_nothing_to_do(plane: Plane) -> None:
    now = utcnow() + 40 * LATER
    assert await sweep.step(plane, now)
    while await sweep.step(plane, now):
        pass
    assert not await sweep.step(plane, now + dt.timedelta(hours=1))
    assert await sweep.step(plane, now + LATER)


async def test_whoever_is_killed_between_two_pages_is_taken_up_where_he_was(
    plane: Plane, operator: httpx.AsyncClient
) -> None:
    now = utcnow() + 90 * LATER
    await put(plane, object_key(OrgId(new_id()), TorrentId(new_id()), 0, 1))
    while await sweep.step(plane, now):
        pass
    asked = (await operator.post("/admin/storage/sweeps", json={"dry_run": True})).json()
    await sweep.step(plane, now)
    async with plane.working() as tx:
        row = await tx.get_one(Sweep, UUID(asked["id"]))
    assert row.after_key
    assert row.ended_at is None
    while await sweep.step(plane, now):
        pass
    async with plane.working() as tx:
        ended = await tx.get_one(Sweep, UUID(asked["id"]))
    assert (ended.looked_at, ended.ended_at is None) == (row.looked_at, False)

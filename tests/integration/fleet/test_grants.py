"""Grants: exactly the bytes that were asked for, there, soon, and nothing else; all against the real store."""

import asyncio
import datetime as dt
from zlib import crc32

import httpx
import pytest

from control.errors import BadInput, Conflict
from control.jobs.model import Job
from control.loops import purge
from control.plane import Plane
from control.storage.errors import NoSuchUpload
from control.storage.keys import prefix
from control.transfers.model import Transfer
from tests.support.fleet import (
    add_agent,
    add_transfer,
    claimed,
    content,
    new_pool,
    read_object,
    read_objects,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import Claimed, Want
from wire.states import Intent, TransferState
from wire.units import MIB

BIG = 9 * MIB


async def put(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return (await http.put(url, content=body, headers=headers)).status_code


async def test_a_grant_takes_its_bytes_and_no_others(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    body = content(0, 10)
    (grant,) = await agent.grants(wanted.transfer, Want(0, 0, 10, crc32(body)))
    other, longer = bytes(10), body + b"!"
    assert await put(grant.url, other, grant.headers) in (400, 403)
    forged = grant.headers | {"x-amz-checksum-crc32": "AAAAAA=="}
    assert await put(grant.url, other, forged) == 403
    assert await put(grant.url, longer, grant.headers | {"content-length": "11"}) in (400, 403)
    assert await put(grant.url, body, {"content-length": "10"}) in (400, 403)
    assert await put(grant.url.replace("/0/1?", "/0/2?"), body, grant.headers) == 403
    assert await plane.store.head(grant.key) is None
    assert await put(grant.url, body, grant.headers) == 200
    assert await read_object(plane.store, grant.key) == body


async def test_a_grant_expires(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    body = content(0, 10)
    long_ago = utcnow() - dt.timedelta(seconds=plane.settings.wait(plane.settings.grant_s) + 60)
    (grant,) = await agent.grants(wanted.transfer, Want(0, 0, 10, crc32(body)), now=long_ago)
    assert await put(grant.url, body, grant.headers) == 403


async def test_a_part_grant_is_bound_to_its_bytes_too(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG)
    (want, body), _ = wants_of(0, content(0, BIG))
    (grant,) = await agent.grants(wanted.transfer, want)
    assert await put(grant.url, bytes(len(body)), grant.headers) in (400, 403)
    assert await put(grant.url, body[:-1], grant.headers | {"content-length": str(len(body) - 1)}) in (400, 403)
    assert await put(grant.url, body, grant.headers) == 200
    (row,) = await read_objects(plane, wanted.transfer)
    assert row.upload_id is not None
    assert [part.part for part in await plane.store.parts(row.key, row.upload_id)] == [1]


async def test_of_many_that_open_the_same_upload_one_stays_and_the_others_are_aborted(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG)
    (want, _), _ = wants_of(0, content(0, BIG))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(agent.grants(wanted.transfer, want)) for _ in range(6)]
    marks = {task.result()[0].upload for task in asked}
    (row,) = await read_objects(plane, wanted.transfer)
    open_uploads = await plane.store.uploads(prefix(wanted.org, wanted.torrent))
    assert len(marks) == 1
    assert [upload.upload_id for upload in open_uploads] == [row.upload_id]


async def test_the_next_epoch_goes_on_with_the_same_upload(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG)
    (want, _), _ = wants_of(0, content(0, BIG))
    (first,) = await agent.grants(wanted.transfer, want)
    await agent.sync(agent.report(wanted.transfer, handover=True))
    other = await add_agent(plane, agent.pool)
    assert isinstance(await other.claim(wanted.transfer), Claimed)
    (second,) = await other.grants(wanted.transfer, want)
    assert (second.upload, second.key) == (first.upload, first.key)


@pytest.mark.parametrize(
    "want",
    [Want(0, 1, 10, 1), Want(0, 0, 11, 1), Want(9, 0, 10, 1), Want(1, 0, BIG, 1), Want(1, 3, MIB, 1),
     Want(1, 2, 8 * MIB, 1), Want(1, -1, MIB, 1), Want(0, 0, 10, 2**32), Want(0, 0, 10, -1)],
)  # fmt: skip
async def test_what_is_no_part_of_the_torrent_is_not_granted(plane: Plane, want: Want) -> None:
    wanted, agent = await claimed(plane, 10, BIG)
    with pytest.raises(BadInput) as refused:
        await agent.grants(wanted.transfer, want)
    assert refused.value.code == "bad_want"


async def test_nothing_is_granted_before_the_metadata_is_judged_or_after_the_end(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, pool=pool, go=False), await add_agent(plane, pool)
    await agent.claim(wanted.transfer)
    with pytest.raises(Conflict) as refused:
        await agent.grants(wanted.transfer, Want(0, 0, 1, 1))
    assert refused.value.code == "not_go"


async def test_what_was_purged_cannot_be_brought_back_for_good(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, BIG)
    body = content(0, 10)
    (small,) = await agent.grants(wanted.transfer, Want(0, 0, 10, crc32(body)))
    (part_want, part), _ = wants_of(1, content(1, BIG))
    (large,) = await agent.grants(wanted.transfer, part_want)
    assert await put(small.url, body, small.headers) == 200
    upload = (await read_objects(plane, wanted.transfer))[0].upload_id
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).intent = Intent.STOP
        (await tx.get_one(Job, wanted.job)).intent = Intent.STOP
    await agent.sync(agent.report(wanted.transfer, handover=True))
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STOPPED

    now = utcnow()
    await purge.step(plane, now)
    assert await plane.store.head(small.key) is None
    assert await read_objects(plane, wanted.transfer) == []
    with pytest.raises(NoSuchUpload):
        await plane.store.parts(large.key, upload or "")
    assert await put(large.url, part, large.headers) == 404

    assert await put(small.url, body, small.headers) == 200  # its grant is still good
    later = now + dt.timedelta(seconds=plane.settings.wait(plane.settings.grant_s + purge.SLACK_S) + 1)
    await purge.step(plane, later)
    assert await plane.store.head(small.key) is None
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) == []

"""A stack to be beaten: two agents, a proxy before the store, two organisations; and what is seen of it afterwards."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from minio.error import S3Error
from msgspec import Struct

from control.storage.keys import parse_key, prefix
from tests.support import bucket, up
from tests.support.chaos.checker import JobSeen, Picture, Stored
from tests.support.chaos.schedule import ORGS, Ending
from tests.support.chaos.swarms import Source, sources
from tests.support.member import Member, View, signed_up
from tests.support.ports import free_row
from tests.support.proxy import StoreProxy, open_proxy
from wire.states import TRANSFER_ENDED

TIME_SCALE = 8
GRANT_S = 40
"""Five seconds, scaled: what an old grant can bring back is swept within a round."""
TICK_S = 15
"""Two seconds, scaled: loops are nudged, and need not look as often as leases expire."""
ASK_AGAIN_S = 0.2
ANSWER_S = 60.0
"""Somebody who asks goes on asking for so long; the longest outage is a few seconds."""
AGENTS = 2


class World(Struct, frozen=True):
    stack: up.Up
    proxy: StoreProxy
    members: list[Member]
    sources: dict[str, Source]
    server_errors: list[str]

    async def asked(self, org: int, method: str, path: str, **content: Any) -> httpx.Response:
        """As people do: again, until somebody answers. A 500 is nobody's fault but ours."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    answer = await self.members[org].http.request(method, f"/api/v1/jobs{path}", **content)
                except httpx.TransportError:
                    pass
                else:
                    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
                        self.server_errors.append(f"{method} {path}: {answer.text}")
                    elif answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                        return answer
                await asyncio.sleep(ASK_AGAIN_S)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    port = free_row()
    scales = [f"{program}.time_scale={TIME_SCALE}" for program in ("control", "agent")]
    (folder / "content").mkdir()
    async with open_proxy(("127.0.0.1", port + 3)) as proxy, sources(folder / "content") as made:
        sets = [*scales, f"control.grant_s={GRANT_S}", f"control.tick_s={TICK_S}", f"control.store_url={proxy.url}"]
        async with (
            up.running(folder / "stack", "--agents", str(AGENTS), sets=sets, port=port) as stack,
            signed_up(stack.api) as first,
            signed_up(stack.api) as second,
        ):
            members = [first, second]
            assert len(members) == ORGS
            yield World(stack, proxy, members, made, [])


class Asked(Struct, frozen=True):
    """A job as its user remembers it."""

    id: str
    org: int
    content: str
    ending: Ending


async def picture(world: World, jobs: list[Asked], *, digests: bool) -> Picture:
    """Everything there is to be seen; with the content of every object where that is asked for."""
    seen = [await _job(world, job) for job in jobs]
    async with world.stack.database() as database:
        named = await database.fetch(
            "SELECT o.key, o.file, o.epoch, t.epoch AS of FROM objects o JOIN transfers t ON t.id = o.transfer_id"
            " WHERE o.stored_at IS NOT NULL"
        )
        unfinished = await database.fetch("SELECT key FROM objects WHERE stored_at IS NULL AND upload_id IS NOT NULL")
        going = await database.fetch(
            "SELECT scope_id, torrent_id, epoch FROM transfers WHERE state <> ALL($1)", [*TRANSFER_ENDED]
        )
        held = await _held(database)
    return Picture(
        jobs=seen,
        named=[Stored(row["key"], row["file"], row["epoch"], row["of"]) for row in named],
        objects=await asyncio.to_thread(_objects, world.stack, digests),
        open_uploads=await asyncio.to_thread(bucket.open_uploads, world.stack),
        in_progress=frozenset(row["key"] for row in unfinished),
        going={prefix(row["scope_id"], row["torrent_id"]): row["epoch"] for row in going},
        on_disks=_on_disks(world.stack),
        held=held,
        server_errors=list(world.server_errors),
    )


async def _job(world: World, job: Asked) -> JobSeen:
    answer = await world.asked(job.org, "GET", f"/{job.id}")
    async with world.stack.database() as database:
        row = await database.fetchrow("SELECT org_id, torrent_id FROM jobs WHERE id = $1", UUID(job.id))
        moves = await database.fetch(
            "SELECT from_state, to_state FROM job_events WHERE job_id = $1 ORDER BY version", UUID(job.id)
        )
    view: View = answer.json()
    return JobSeen(
        id=job.id,
        wanted=job.ending,
        state=view["state"] if answer.status_code == HTTPStatus.OK else None,
        moves=[(move["from_state"], move["to_state"]) for move in moves],
        prefix=prefix(row["org_id"], row["torrent_id"]) if row else "",
        source=world.sources[job.content].digests,
    )


async def _held(database: asyncpg.Connection) -> dict[str, frozenset[str]]:
    rows = await database.fetch(
        "SELECT a.name, array_agg(t.id::text) AS ids"
        " FROM agents a JOIN transfers t ON t.agent_id = a.id GROUP BY a.name"
    )
    return {row["name"]: frozenset(row["ids"]) for row in rows}


def _objects(stack: up.Up, digests: bool) -> dict[str, str]:
    keys = [key for key in bucket.keys(stack) if parse_key(key)]
    if not digests:
        return dict.fromkeys(keys, "")
    store, found = bucket.client(stack), {}
    for key in keys:
        try:
            answer = store.get_object(bucket.BUCKET, key)
        except S3Error as failure:
            if failure.code != "NoSuchKey":  # purged while we looked
                raise
            continue
        found[key] = hashlib.sha256(answer.read()).hexdigest()
        answer.close()
        answer.release_conn()
    return found


def _on_disks(stack: up.Up) -> dict[str, list[str]]:
    found = {}
    for number in range(1, AGENTS + 1):
        transfers = stack.data / "agents" / str(number) / "transfers"
        found[f"local-{number}"] = [each.name for each in transfers.iterdir()] if transfers.exists() else []
    return found

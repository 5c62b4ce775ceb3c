"""The feed: whatever happens to jobs and files stands in it once, and who reads on from a cursor misses nothing."""

import datetime as dt
import secrets
from typing import Any
from uuid import UUID

import httpx

from control import cursor as cursors
from control.jobs.model import Event, Job
from control.loops import feed, retention
from control.plane import Plane
from control.transfers.model import Object
from tests.support.control import Api, torrent_file
from wire.clock import utcnow

Page = dict[str, Any]


async def read(http: httpx.AsyncClient, cursor: str | None = None, **query: Any) -> Page:
    answer = await http.get("/api/v1/events", params=query | ({"cursor": cursor} if cursor else {}))
    assert answer.status_code == 200, answer.text
    page: Page = answer.json()
    return page


async def number(plane: Plane) -> None:
    while await feed.step(plane, utcnow()):
        pass


async def new_job(http: httpx.AsyncClient) -> str:
    made = await http.post("/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"})
    return str(made.json()["id"])


def types(page: Page) -> list[str]:
    return [each["type"] for each in page["items"]]


async def test_a_jobs_life_is_told_in_order_and_each_thing_once(api: Api) -> None:
    async with api.member() as http:
        job = await new_job(http)
        await http.patch(f"/api/v1/jobs/{job}", json={"name": "another"})
        await http.post(f"/api/v1/jobs/{job}/cancel")
        await http.delete(f"/api/v1/jobs/{job}")
        assert types(await read(http)) == [], "not before they are numbered"
        await number(api.plane)
        cursor, seen, more = None, [], True
        while more:
            page = await read(http, cursor, limit=1)
            cursor, more = page["next_cursor"], page["more"]
            seen += page["items"]
        assert await read(http, cursor) | {"next_cursor": ""} == {"items": [], "more": False, "next_cursor": ""}
    assert [each["type"] for each in seen] == ["job.added", "job.changed", "job.cancelled", "job.removed"]
    last = seen[2]["job"]
    assert (last["id"], last["name"], last["state"], last["from_state"]) == (job, "another", "cancelled", "submitted")
    assert [each["job"]["version"] for each in seen] == [1, 2, 3, 4]
    assert [each["id"] for each in seen] == sorted(each["id"] for each in seen)


async def test_what_commits_late_comes_after_what_was_read_already(api: Api) -> None:
    """Its row was written first, and a cursor over ids would be past it."""
    async with api.member() as http:
        late, early = await new_job(http), await new_job(http)
        await number(api.plane)
        cursor = (await read(http))["next_cursor"]
        async with api.plane.working() as tx:
            job = await tx.get_one(Job, UUID(late))
            row = {"from_state": job.state, "to_state": job.state, "who": "person:x", "why": "edited", "at": utcnow()}
            tx.add(Event(job_id=job.id, version=9, org_id=job.org_id, **row))
            await tx.flush()
            await http.post(f"/api/v1/jobs/{early}/cancel")
            await number(api.plane)
            page = await read(http, cursor)
            assert [each["job"]["id"] for each in page["items"]] == [early]
        await number(api.plane)
        assert [each["job"]["id"] for each in (await read(http, page["next_cursor"]))["items"]] == [late]


async def test_files_are_told_of_however_they_were_stored(api: Api) -> None:
    async with api.member() as http:
        sent = {"torrent": ("a", torrent_file("feed", files=3, size=10))}
        job_id = (await http.post("/api/v1/jobs", files=sent, data={"files": "[0, 2]"})).json()["id"]
        now = utcnow()
        async with api.plane.working() as tx:
            job = await tx.get_one(Job, UUID(job_id))
            row = {"transfer_id": job.transfer_id, "scope_id": job.org_id, "epoch": 1, "opened_at": now}
            rows = [Object(file=n, key=f"feed/{job_id}/{n}", size_bytes=10, **row) for n in range(3)]
            rows[0].stored_at = rows[1].stored_at = now
            tx.add_all(rows)
            await tx.flush()
            rows[2].stored_at = now
        await number(api.plane)
        page = await read(http, type="file.stored")
    told = [(each["file"]["index"], each["file"]["path"], each["file"]["size_bytes"]) for each in page["items"]]
    assert told == [(0, "folder/0.txt", 10), (2, "folder/2.txt", 10)], "and nothing of what it does not want"


async def test_a_filter_and_a_time_leave_out_and_the_cursor_still_moves(api: Api) -> None:
    async with api.member() as http, api.member() as stranger:
        job = await new_job(http)
        await http.post(f"/api/v1/jobs/{job}/cancel")
        await number(api.plane)
        page = await read(http, type=["job.failed", "job.removed"])
        assert page["items"] == []
        assert types(await read(http, page["next_cursor"])) == [], "what was there was looked at"
        assert types(await read(http, type="job.cancelled")) == ["job.cancelled"]
        assert types(await read(http, since=(utcnow() + dt.timedelta(minutes=1)).isoformat())) == []
        assert types(await read(stranger)) == []


async def test_cursors_that_are_too_old_or_not_ours_are_refused(api: Api) -> None:
    old = cursors.after_moment(utcnow() - dt.timedelta(days=31), 5)
    async with api.member() as http:
        for cursor, code in ((old, "cursor_expired"), ("AAAA", "bad_cursor")):
            answer = await http.get("/api/v1/events", params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_month_later_it_is_gone(api: Api) -> None:
    async with api.member() as http:
        await new_job(http)
        await number(api.plane)
        org = (await http.get("/api/v1/auth/me")).json()["organisation"]["id"]
        await api.databases.sql(f"UPDATE feed SET at = now() - interval '31 days' WHERE org_id = '{org}'")
        await retention.step(api.plane, utcnow())
        assert types(await read(http)) == []


async def test_a_second_step_finds_nothing_to_do(api: Api) -> None:
    async with api.member() as http:
        await new_job(http)
        await number(api.plane)
        before = await api.databases.sql("SELECT count(*), max(seq) FROM feed")
        await number(api.plane)
        assert await api.databases.sql("SELECT count(*), max(seq) FROM feed") == before

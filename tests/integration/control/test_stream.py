"""Live streams over a real socket: a snapshot, then changes, whatever the bus does meanwhile."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from control.plane import Plane
from tests.support.control import Api, serving
from wire import subjects
from wire.clock import utcnow
from wire.events import JobEvent, Progress
from wire.ids import JobId, OrgId
from wire.messages import Rates
from wire.states import JobState

LIMIT_S = 20.0
Said = tuple[str, dict[str, Any]]


@asynccontextmanager
async def hearing(http: httpx.AsyncClient, job: str) -> AsyncIterator[AsyncIterator[Said]]:
    async with (
        asyncio.timeout(LIMIT_S),
        http.stream("GET", f"/api/v1/jobs/{job}/events", headers={"Accept": "text/event-stream"}) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield said_by(answer)


async def said_by(answer: httpx.Response) -> AsyncIterator[Said]:
    event = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, msgspec.json.decode(value)


async def new_job(http: httpx.AsyncClient) -> str:
    made = await http.post("/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"})
    return str(made.json()["id"])


async def org_of(http: httpx.AsyncClient) -> OrgId:
    return OrgId(msgspec.convert((await http.get("/api/v1/auth/me")).json()["organisation"]["id"], OrgId))


async def tell(plane: Plane, org: OrgId, job: str, version: int, state: JobState) -> None:
    event = JobEvent(job=JobId(msgspec.convert(job, JobId)), version=version, state=state, at=utcnow())
    await plane.app_bus.publish(subjects.event(org, event.job), msgspec.json.encode(event))


async def test_a_stream_begins_with_a_snapshot_and_ends_with_the_job(api: Api) -> None:
    async with api.member() as http:
        job = await new_job(http)
        async with hearing(http, job) as heard:
            event, snapshot = await anext(heard)
            assert (event, snapshot["state"], snapshot["version"]) == ("snapshot", "submitted", 1)
            await http.post(f"/api/v1/jobs/{job}/cancel")
            event, last = await anext(heard)
            assert (event, last["state"], last["version"]) == ("state", "cancelled", 2)
            assert last["actions"] == ["remove", "retry"]
            assert [said async for said in heard] == [], "the stream is over"


async def test_without_any_message_the_tick_tells(api: Api) -> None:
    """No relay runs here: what reached the stream above was read from the database."""
    async with api.member() as http:
        job = await new_job(http)
        async with hearing(http, job) as heard:
            await anext(heard)
            await api.databases.sql(f"UPDATE jobs SET state = 'queued', version = 7 WHERE id = '{job}'")
            event, said = await anext(heard)
    assert (event, said["state"], said["version"]) == ("state", "queued", 7)


async def test_versions_that_were_seen_are_dropped_and_progress_goes_through(api: Api) -> None:
    async with api.member() as http:
        job, org = await new_job(http), await org_of(http)
        async with hearing(http, job) as heard:
            await anext(heard)
            await tell(api.plane, org, job, 1, JobState.SUBMITTED)
            await tell(api.plane, org, job, 3, JobState.DOWNLOADING)
            await tell(api.plane, org, job, 2, JobState.QUEUED)
            event, said = await anext(heard)
            assert (event, said["version"], said["state"]) == ("state", 3, "downloading")
            progress = Progress(job=JobId(msgspec.convert(job, JobId)), rates=Rates(down_bytes=5), at=utcnow())
            await api.plane.app_bus.publish(subjects.progress(org, progress.job), msgspec.json.encode(progress))
            event, said = await anext(heard)
            assert (event, said["rates"]["down_bytes"]) == ("progress", 5)


async def test_a_stream_of_an_ended_job_is_its_snapshot(api: Api) -> None:
    async with api.member() as http:
        job = await new_job(http)
        await http.post(f"/api/v1/jobs/{job}/cancel")
        async with hearing(http, job) as heard:
            said = [event async for event, _ in heard]
    assert said == ["snapshot"]


async def test_keys_and_tokens_may_listen_strangers_not(api: Api) -> None:
    async with api.member() as http, api.member() as stranger, api.client() as program:
        job = await new_job(http)
        key = (await http.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
        program.headers["Authorization"] = f"Bearer {key}"
        token = (await program.post("/api/v1/auth/token")).json()["token"]
        program.headers["Authorization"] = f"Bearer {token}"
        async with hearing(program, job) as heard:
            assert (await anext(heard))[0] == "snapshot"
        assert (await stranger.get(f"/api/v1/jobs/{job}/events")).status_code == 404


async def test_a_process_that_goes_away_ends_its_streams_at_once(api: Api, plane: Plane) -> None:
    async with api.member() as http:
        job = await new_job(http)
        async with httpx.AsyncClient(cookies=http.cookies, trust_env=False, timeout=30) as other:
            async with serving(plane) as url:
                asked = other.build_request("GET", f"{url}/api/v1/jobs/{job}/events")
                answer = await other.send(asked, stream=True)
                heard = said_by(answer)
                await anext(heard)
            assert [said async for said in heard] == [], "ended in order, not cut"
            await answer.aclose()


async def test_the_stream_of_a_job_that_is_gone_ends(api: Api) -> None:
    """It was removed and purged while the bus was away: no event said so."""
    async with api.member() as http:
        job = await new_job(http)
        async with hearing(http, job) as heard:
            assert (await anext(heard))[0] == "snapshot"
            await api.databases.sql(f"DELETE FROM jobs WHERE id = '{job}'")
            assert [said async for said in heard] == []

"""Many at once, and in any order: one job for one torrent, one answer for one key, and always a way on."""

import asyncio
import secrets
from collections import Counter
from uuid import UUID

import httpx

from control.loops import dispatch, purge, retention
from control.plane import Plane
from tests.support.control import Api, torrent_file
from tests.support.fleet import add_agent
from wire.clock import utcnow
from wire.ids import TransferId
from wire.messages import Claimed

MANY = 50


async def add(http: httpx.AsyncClient, data: bytes, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await http.post("/api/v1/jobs", files={"torrent": ("a", data)}, headers=headers)


async def at_once(http: httpx.AsyncClient, data: bytes, key: str | None = None) -> list[httpx.Response]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(add(http, data, key)) for _ in range(MANY)]
    return [task.result() for task in asked]


async def test_fifty_at_once_ask_for_one_torrent_and_get_one_job(api: Api) -> None:
    async with api.member() as http:
        answers = await at_once(http, torrent_file(secrets.token_hex(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: MANY - 1}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len((await http.get("/api/v1/jobs")).json()["items"]) == 1


async def test_fifty_at_once_with_one_key_get_one_answer(api: Api) -> None:
    async with api.member() as http:
        answers = await at_once(http, torrent_file(secrets.token_hex(8)), "the-same")
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == MANY - 1


async def test_add_cancel_and_remove_at_once_leave_a_job_that_can_be_asked_for_again(api: Api, plane: Plane) -> None:
    data = torrent_file(secrets.token_hex(8))
    async with api.member() as http:
        for _ in range(5):
            url = f"/api/v1/jobs/{(await add(http, data)).json()['id']}"
            async with asyncio.TaskGroup() as group:
                asked = [
                    *(group.create_task(http.post(f"{url}/cancel")) for _ in range(3)),
                    *(group.create_task(http.delete(url)) for _ in range(3)),
                    *(group.create_task(add(http, data)) for _ in range(3)),
                ]
                group.create_task(purge.step(plane, utcnow()))
            assert {task.result().status_code for task in asked} <= {200, 201, 204, 404, 409}
        last = await add(http, data)
        assert last.status_code in (200, 201)
        assert last.json()["state"] == "submitted"


async def test_what_was_cancelled_on_its_agent_and_is_asked_for_again_goes_on(api: Api, plane: Plane) -> None:
    """At once, before the agent has heard of the first decision."""
    data = torrent_file(secrets.token_hex(8))
    async with api.member() as http:
        first = (await add(http, data)).json()
        transfer = TransferId(await _transfer_of(api, first["id"]))
        agent = await add_agent(plane)
        await dispatch.step(plane, utcnow())
        assert isinstance(await agent.claim(transfer), Claimed)
        await agent.sync(agent.report(transfer))
        assert (await http.post(f"/api/v1/jobs/{first['id']}/cancel")).json()["state"] == "cancelled"
        second = await add(http, data)
        assert (second.status_code, second.json()["state"]) == (201, "downloading")
        (verdict,) = (await agent.sync(agent.report(transfer))).verdicts
        assert verdict.intent == "run"
        assert (await http.get(f"/api/v1/jobs/{first['id']}")).json()["state"] == "cancelled"
        await agent.sync(leaving=True)


async def _transfer_of(api: Api, job: str) -> UUID:
    return UUID(await api.databases.sql(f"SELECT transfer_id FROM jobs WHERE id = '{job}'"))


async def test_what_is_over_is_forgotten(api: Api, plane: Plane) -> None:
    async with api.member() as http:
        await add(http, torrent_file(secrets.token_hex(8)), "old")
        org = (await http.get("/api/v1/auth/me")).json()["organisation"]["id"]
        await api.databases.sql(
            f"UPDATE idempotency SET created_at = now() - interval '25 hours' WHERE org_id = '{org}'"
        )
        await api.databases.sql(
            "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE person_id IN"
            f" (SELECT person_id FROM members WHERE org_id = '{org}')"
        )
        assert (await http.get("/api/v1/auth/me")).status_code == 401
        await retention.step(plane, utcnow())
        left = await api.databases.sql(
            f"SELECT (SELECT count(*) FROM idempotency WHERE org_id = '{org}')"
            " + (SELECT count(*) FROM sessions WHERE expires_at < now())"
        )
    assert left == "0"

"""A plain magnet is added by a short way, everything else by a long one; nobody can tell by which."""

import asyncio
import secrets
from typing import Any
from uuid import UUID

import httpx
import msgspec
from sqlalchemy import text

from control.jobs import plain
from tests.support.people import Headers, People, Someone
from tests.support.statements import sent
from wire.ids import OrgId

TABLES = {
    "torrents": "scope_id",
    "transfers": "scope_id",
    "jobs": "org_id",
    "job_events": "org_id",
    "audit": "org_id",
    "feed": "org_id",
    "quotas": "org_id",
}
OWN = {"id", "v1", "at", "seq", "created_at", "updated_at", "moved_at", "request_id", "correlation_id"}
"""What is another's with each job; ids of others are told apart by `_alike`."""
LONG = {"Idempotency-Key": "only-the-long-way-keeps-answers"}


def _magnet() -> str:
    return f"magnet:?xt=urn:btih:{secrets.token_hex(20)}&tr=http://tracker.example.org/announce&dn=a+name"


async def _rows(people: People, org: OrgId) -> dict[str, list[dict[str, Any]]]:
    async with people.plane.working() as tx:
        found = {
            table: (await tx.execute(text(f"SELECT * FROM {table} WHERE {mine} = :org"), {"org": org})).mappings().all()
            for table, mine in TABLES.items()
        }
    return {table: [dict(row) for row in rows] for table, rows in found.items()}


def _alike(rows: dict[str, list[dict[str, Any]]], who: Someone) -> str:
    """Without what is each job's own."""
    ids = {
        str(row["id"]): f"the {table}'s" for table, of in rows.items() for row in of if isinstance(row.get("id"), UUID)
    }
    ids |= {str(who.org): "the organisation's", str(who.person): "the person's"}
    kept = {table: [{key: row[key] for key in sorted(row.keys() - OWN)} for row in of] for table, of in rows.items()}
    said = msgspec.json.encode(kept, enc_hook=repr).decode()
    for known, name in ids.items():
        said = said.replace(known, name)
    return said


async def _add(people: People, headers: Headers, magnet: str) -> dict[str, Any]:
    answer = await people.http.post("/jobs", json={"magnet": magnet}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json()['id']}"
    answered: dict[str, Any] = answer.json()
    return answered


async def _at_once(people: People, headers: Headers, magnets: list[str]) -> list[httpx.Response]:
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(people.http.post("/jobs", json={"magnet": each}, headers=headers)) for each in magnets
        ]
    return [each.result() for each in asked]


async def test_both_ways_leave_the_same_and_say_the_same(people: People) -> None:
    left, said = [], []
    for more in ({}, LONG):
        who = await people.owner()
        _, headers = await people.key(who, "full")
        with sent() as statements:
            answer = await _add(people, headers | more, _magnet())
        assert any(plain.ROOM in each for each in statements) is (not more)
        shown = (await people.http.get(f"/jobs/{answer['id']}", headers=headers)).json()
        assert shown == answer
        rows = await _rows(people, who.org)
        assert [len(rows[table]) for table in TABLES] == [1] * len(TABLES)
        left.append(_alike(rows, who).replace(f"key:{rows['audit'][0]['actor'].partition(':')[2]}", "the key"))
        said.append({key: value for key, value in answer.items() if key not in OWN | {"v1"}})
    assert left[0] == left[1]
    assert said[0] == said[1]


async def test_what_is_asked_for_again_is_the_same_job(people: People) -> None:
    headers, magnet = await people.session(await people.owner()), _magnet()
    first = await _add(people, headers, magnet)
    again = await people.http.post("/jobs", json={"magnet": magnet}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])


async def test_of_many_who_ask_for_one_magnet_at_once_one_adds_it(people: People) -> None:
    who, magnet = await people.owner(), _magnet()
    headers = await people.session(who)
    answers = await _at_once(people, headers, [magnet] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    rows = await _rows(people, who.org)
    assert [len(rows[table]) for table in ("torrents", "transfers", "jobs")] == [1, 1, 1]


async def test_a_full_organisation_is_refused_with_all_its_words(people: People) -> None:
    who = await people.owner()
    headers = await people.session(who)
    async with people.plane.working() as tx:
        await tx.execute(text("UPDATE quotas SET own = '{\"open_jobs\": 2}' WHERE org_id = :org"), {"org": who.org})
    answers = await _at_once(people, headers, [_magnet() for _ in range(12)])
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [403] * 10
    refused = next(answer.json() for answer in answers if answer.status_code == 403)
    assert refused["code"] == "too_many_jobs"
    assert (refused["quota"]["allowed"], refused["quota"]["left"]) == (2, 0)
    assert len((await _rows(people, who.org))["torrents"]) == 2, "what was refused left nothing"

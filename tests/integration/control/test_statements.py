"""However many rows there are, an operation sends the same statements: asked of every GET of the document, and of what
adds a job."""

import secrets
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest
from msgspec import Struct
from sqlalchemy import update

from control.accounts.model import ApiKey, Invitation, Member, Person, Session
from control.accounts.permissions import OrgRole, PlatformRole
from control.audit import service as audit
from control.audit.service import Actor
from control.jobs.model import Event, Job
from control.loops import feed
from control.mail import letters
from control.mail import service as mails
from control.webhooks.model import Webhook
from tests.support.control import torrent_file
from tests.support.fleet import add_agent, add_transfer
from tests.support.people import Headers, People, Someone
from tests.support.statements import sent
from wire.clock import utcnow
from wire.ids import new_id

MORE = 30
ADD_MAX = 3
"""What adding a job by magnet sends, who asks included: each is a round trip, and the bench `api` has a target."""


class Place(Struct, frozen=True):
    people: People
    who: Someone
    headers: Headers
    ids: dict[str, str]


@pytest.fixture
async def place(people: People) -> Place:
    """An organisation with one of everything, and its owner, who may do everything on the platform, too."""
    who = await people.join(await people.organisation(), OrgRole.OWNER, PlatformRole.SUPERADMIN)
    headers = await people.session(who)
    async with people.plane.working() as tx:  # that it was seen is written once a while: not during the test
        await tx.execute(
            update(Session).where(Session.person_id == who.person).values(seen_at=utcnow().replace(year=2100))
        )
    files = {"torrent": ("a", torrent_file(secrets.token_hex(4), files=2))}
    job = (await people.http.post("/jobs", files=files, headers=headers)).json()["id"]
    ids = {"job_id": job, "index": "0", "agent": str((await add_agent(people.plane)).id)}
    async with people.plane.working() as tx:
        hook = Webhook(
            id=new_id(), org_id=who.org, url="https://example.org", description="", types=[], secret=b"",
            created_at=utcnow(),
        )  # fmt: skip
        tx.add(hook)
    ids |= {"webhook_id": str(hook.id)}
    found = Place(people, who, headers, ids)
    await grow(found, 1)
    calls = (await people.http.get(f"/webhooks/{hook.id}/calls", headers=headers)).json()["items"]
    ids |= {"call_id": calls[0]["id"], "person_id": str(who.person), "org_id": str(who.org)}
    return found


async def grow(place: Place, more: int) -> None:
    """Of everything that is listed."""
    people, who, now = place.people, place.who, utcnow()
    for _ in range(more):
        await add_transfer(people.plane, 10, org=who.org)
        await add_agent(people.plane)
    async with people.plane.working() as tx:
        job = await tx.get_one(Job, UUID(place.ids["job_id"]))
        for _ in range(more):
            other, version = new_id(), job.version + 1
            job.version = version
            mine = {"org_id": who.org, "created_at": now}
            tx.add(Person(id=other, email=f"{other}@example.org", password_hash="-", created_at=now))
            await tx.flush()
            tx.add(Member(org_id=who.org, person_id=other, role=OrgRole.VIEWER, joined_at=now))
            key = {"person_id": who.person, "name": "x", "prefix": "x", "scopes": [], "networks": []}
            tx.add(ApiKey(id=new_id(), token_hash=other.bytes, **mine, **key))
            invited = {"email": f"{other}@example.com", "role": OrgRole.VIEWER, "invited_by": who.person}
            tx.add(
                Invitation(id=new_id(), token_hash=other.bytes, expires_at=now.replace(year=2100), **mine, **invited)
            )
            state = {"from_state": job.state, "to_state": job.state, "who": "person:x", "why": "edited"}
            tx.add(Event(job_id=job.id, version=version, org_id=who.org, at=now, **state))
            await audit.record(tx, Actor(name="person:x", org=who.org), "thing.done", "thing:x", now)
            await mails.queue(tx, people.plane.settings.vault, "a@example.org", letters.notice("x"), None, now)
    await feed.step(people.plane, now)


async def count(place: Place, path: str) -> tuple[int, int]:
    with sent() as statements:
        answer = await place.people.http.get(path, headers=place.headers)
    return answer.status_code, len(statements)


async def test_no_get_sends_more_statements_where_there_are_more_rows(place: Place) -> None:
    document: dict[str, Any] = (
        await place.people.http.get(place.people.plane.settings.public_url + "/api/schema")
    ).json()
    known = defaultdict(lambda: str(new_id()), place.ids)  # of what has no page of its own any id will do
    paths = [
        path.removeprefix("/api/v1").format_map(known)
        for path, item in document["paths"].items()
        if path.startswith("/api/v1") and "text/event-stream" not in str(item.get("get", "text/event-stream"))
    ]
    assert {"/jobs", "/events", f"/jobs/{place.ids['job_id']}/files", "/fleet/agents", "/admin/mails"} <= set(paths)
    before = {path: await count(place, path) for path in paths}
    assert before["/jobs"][0] == 200
    await grow(place, MORE)
    after = {path: await count(place, path) for path in paths}
    assert {path: (before[path], after[path]) for path in paths if before[path] != after[path]} == {}


async def test_adding_a_job_sends_the_same_however_much_there_is(place: Place) -> None:
    async def add(files: int | None) -> list[str]:
        given: dict[str, Any] = {"json": {"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"}}
        if files is not None:
            given = {"files": {"torrent": ("a", torrent_file(secrets.token_hex(4), files=files))}}
        with sent() as statements:
            answer = await place.people.http.post("/jobs", headers=place.headers, **given)
        assert answer.status_code == 201, answer.text
        return list(statements)

    small = (await add(None), await add(2))
    await grow(place, MORE)
    large = (await add(None), await add(400))
    assert [len(each) for each in large] == [len(each) for each in small]
    assert len(small[0]) <= ADD_MAX, "\n".join(small[0])

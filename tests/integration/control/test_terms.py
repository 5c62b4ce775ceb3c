"""Terms of use: nothing works until the version in force is accepted; what was published stays."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import httpx
import pytest

from control.accounts import terms
from control.accounts.permissions import OrgRole, PlatformRole
from control.audit.service import Actor
from control.plane import Plane
from tests.support.people import Headers, People, Someone, forget_terms
from wire.clock import utcnow

TEXT = "Bring in what is yours, or what you may. " * 10
REASON = "members asked for plain words"
ADMIN = Actor(name="person:tests")


@pytest.fixture
async def admin(people: People) -> AsyncIterator[Someone]:
    who = await people.join(await people.organisation(), OrgRole.OWNER, PlatformRole.ADMIN)
    await people.without_password(who)
    yield who
    await forget_terms(people.databases)


async def publish(people: People, admin: Someone, text: str = TEXT, **more: object) -> httpx.Response:
    headers = await people.session(admin)
    return await people.http.post("/admin/terms", json={"text": text, "reason": REASON} | more, headers=headers)


async def code(people: People, path: str, headers: Headers) -> str | None:
    answer = await people.http.get(path, headers=headers)
    return None if answer.is_success else answer.json()["code"]


async def test_from_a_new_version_on_nothing_works_until_it_is_accepted(people: People, admin: Someone) -> None:
    who = await people.owner()
    session, (_, key), token = await people.session(who), await people.key(who, "full"), await people.token(who, "full")
    assert await code(people, "/jobs", session) is None, "there is nothing to accept"
    assert (await publish(people, admin)).json()["version"] == 1
    for headers in (session, key, token):
        assert await code(people, "/jobs", headers) == "terms_not_accepted"
    assert await code(people, "/auth/me", key) == "terms_not_accepted"
    me = (await people.http.get("/auth/me", headers=session)).json()
    assert me["to_accept"] == 1, "one's own account can be looked after"
    read = (await people.http.get("/terms/1")).json()
    assert (read["text"], (await people.http.get("/terms")).json()["current"]) == (TEXT, 1)
    for _ in range(2):
        accepted = await people.http.post("/terms/accept", json={"version": 1}, headers=session)
        assert accepted.status_code == 204
    for headers in (session, key, token):
        assert await code(people, "/jobs", headers) is None
    exported = (await people.http.get("/auth/export", headers=session)).json()["rows"]
    assert [row["version"] for row in exported["acceptances"]] == [1]
    assert [row["action"] for row in exported["audit"]].count("terms.accepted") == 1
    await publish(people, admin, TEXT + "And be kind.")
    assert await code(people, "/jobs", session) == "terms_not_accepted"
    old = await people.http.post("/terms/accept", json={"version": 1}, headers=session)
    assert (old.status_code, old.json()["code"]) == (409, "terms_outdated")
    assert (await people.http.get("/terms/1")).json()["text"] == TEXT


async def test_a_version_that_is_to_come_can_be_accepted_before(people: People, admin: Someone) -> None:
    who = await people.owner()
    session, soon = await people.session(who), utcnow() + dt.timedelta(hours=1)
    assert (await publish(people, admin, effective_at=soon.isoformat())).status_code == 201
    assert await code(people, "/jobs", session) is None
    early = await publish(people, admin)
    assert (early.status_code, early.json()["code"]) == (409, "too_early")
    other = await people.session(await people.owner())
    assert (await people.http.post("/terms/accept", json={"version": 1}, headers=session)).status_code == 204
    await people.databases.sql("UPDATE terms SET effective_at = now()")
    assert await code(people, "/jobs", other) == "terms_not_accepted"
    assert await code(people, "/jobs", session) is None


async def test_who_publishes_has_accepted_and_who_registers_may_at_once(people: People, admin: Someone) -> None:
    await publish(people, admin)
    assert await code(people, "/jobs", await people.session(admin)) is None
    account = {"email": f"{admin.person}@example.org", "password": "correct horse battery"}
    for version, status in ((7, 404), (1, 201)):
        made = await people.http.post("/auth/register", json=account | {"terms": version})
        assert made.status_code == status, made.text
    signed_in = await people.http.post("/auth/login", json=account)
    assert signed_in.json()["to_accept"] is None


async def test_versions_are_numbered_one_after_another(people: People, plane: Plane, admin: Someone) -> None:
    async def one() -> int:
        async with plane.working() as tx:
            return (await terms.publish(tx, TEXT, None, admin.person, REASON, ADMIN, utcnow())).version

    async with asyncio.TaskGroup() as group:
        made = [group.create_task(one()) for _ in range(5)]
    assert sorted(each.result() for each in made) == [1, 2, 3, 4, 5]
    assert [each["version"] for each in (await people.http.get("/terms")).json()["items"]] == [5, 4, 3, 2, 1]


async def test_what_is_no_text_or_no_version_is_refused(people: People, admin: Someone) -> None:
    short = await publish(people, admin, "Be kind.")
    assert (short.status_code, short.json()["code"]) == (422, "bad_terms")
    for version in ("0", "1", "99999999999999999999"):
        assert (await people.http.get(f"/terms/{version}")).status_code == 404
    session = await people.session(admin)
    for nonsense in (0, -1, 2**31, "one", None):
        answer = await people.http.post("/terms/accept", json={"version": nonsense}, headers=session)
        assert answer.status_code == 422

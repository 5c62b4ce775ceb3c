"""API keys: what they carry, when they end, what is written about their use, and the tokens made with them."""

import datetime as dt

import jwt
from sqlalchemy import text

from control.accounts import known, tokens
from control.accounts.permissions import OrgRole
from control.audit.service import Actor
from control.db import Asker
from tests.support.people import Headers, People, Someone
from wire.clock import utcnow
from wire.ids import KeyId


async def _bearer(people: People, headers: Headers, **wanted: object) -> Headers:
    made = await people.http.post("/auth/keys", json={"name": "x"} | wanted, headers=headers)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['secret']}"}


async def test_a_key_does_what_its_scopes_say(people: People) -> None:
    session = await people.session(await people.owner())
    reading = await _bearer(people, session, scopes=["read-only"])
    writing = await _bearer(people, session, scopes=["jobs.write"])
    assert (await people.http.get("/jobs", headers=reading)).status_code == 200
    refused = await people.http.post("/jobs", json={"magnet": "x"}, headers=reading)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert refused.json()["detail"] == "This needs the permission jobs.write: this key does not carry it."
    assert (await people.http.get("/jobs", headers=writing)).status_code == 403
    assert (await people.http.get("/auth/me", headers=writing)).json()["permissions"] == [
        "jobs.write", "profile.read", "tokens.make",
    ]  # fmt: skip


async def test_no_key_is_made_that_may_more_than_its_maker(people: People) -> None:
    owner = await people.owner()
    member = await people.session(await people.join(owner.org, OrgRole.MEMBER))
    _, maker = await people.key(owner, "keys.write", "jobs.read")
    for headers, scopes, said in (
        (member, ["members.write"], (403, "permission_denied")),
        (member, ["fleet.write"], (403, "permission_denied")),
        (maker, ["jobs.write"], (403, "permission_denied")),
        (maker, ["full"], (403, "permission_denied")),
        (maker, ["jobs.read"], (201, None)),
        (member, ["profile.write"], (422, "bad_scope")),
        (member, ["everything"], (422, "bad_scope")),
        (member, [], (422, "bad_scope")),
    ):
        answer = await people.http.post("/auth/keys", json={"name": "x", "scopes": scopes}, headers=headers)
        assert (answer.status_code, answer.json().get("code")) == said, scopes


async def test_a_key_shrinks_with_its_person(people: People) -> None:
    owner = await people.owner()
    admin = await people.join(owner.org, OrgRole.ADMIN)
    _, key = await people.key(admin, "full")
    assert (await people.http.get("/organisation/invitations", headers=key)).status_code == 200
    url = f"/organisation/members/{admin.person}"
    await people.http.patch(url, json={"role": "viewer"}, headers=await people.session(owner))
    assert (await people.http.get("/organisation/invitations", headers=key)).status_code == 403
    assert (await people.http.get("/jobs", headers=key)).status_code == 200


async def test_members_see_and_revoke_their_own_keys_and_admins_everybodys(people: People) -> None:
    owner = await people.owner()
    member = await people.join(owner.org, OrgRole.MEMBER)
    theirs, boss = await people.session(member), await people.session(owner)
    (mine, _), (others, _) = await people.key(member, "full"), await people.key(owner, "full")

    async def seen(headers: Headers) -> set[str]:
        return {each["id"] for each in (await people.http.get("/auth/keys", headers=headers)).json()["items"]}

    assert (await seen(theirs), await seen(boss)) == ({str(mine)}, {str(mine), str(others)})
    assert (await people.http.delete(f"/auth/keys/{others}", headers=theirs)).status_code == 404
    assert (await people.http.delete(f"/auth/keys/{mine}", headers=boss)).status_code == 204
    assert await seen(theirs) == set()


async def test_a_key_ends_when_it_was_said_to(people: People) -> None:
    session = await people.session(await people.owner())
    key = await _bearer(people, session, days=1)
    assert (await people.http.get("/jobs", headers=key)).status_code == 200
    refused = await people.http.post("/auth/keys", json={"name": "x", "days": 0}, headers=session)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_expiry")
    async with people.plane.working() as tx:
        end = text("UPDATE api_keys SET expires_at = now() WHERE token_hash = :hash")
        await tx.execute(end, {"hash": tokens.digest(key["Authorization"].removeprefix("Bearer "))})
    assert (await people.http.get("/jobs", headers=key)).status_code == 401
    assert (await people.http.get("/auth/keys", headers=session)).json()["items"] == []


async def test_when_a_key_was_used_is_written_once_a_minute(people: People) -> None:
    who, now = await people.owner(), utcnow()
    key, headers = await people.key(who, "full")
    for later_s, written in ((0, True), (1, False), (59, False), (61, True)):
        at = now + dt.timedelta(seconds=later_s)
        assert (await _used(people, who, headers, key, at) == at) is written


async def _used(people: People, who: Someone, headers: Headers, key: KeyId, at: dt.datetime) -> dt.datetime | None:
    token_hash = tokens.digest(headers["Authorization"].removeprefix("Bearer "))
    seen = await known.by_key(people.plane.db, token_hash, at)
    assert seen is not None
    if seen.is_news("127.0.0.0/24", at):
        async with people.plane.asking(Asker(person=seen.known.person, org=who.org)) as tx:
            await known.used(tx, seen, "127.0.0.0/24", Actor(name="somebody"), at)
    async with people.plane.working() as tx:
        used: dt.datetime | None = (
            await tx.execute(text("SELECT last_used_at FROM api_keys WHERE id = :id"), {"id": key})
        ).scalar()
    return used


async def test_a_token_carries_less_than_its_key_if_asked_and_never_more(people: People) -> None:
    _, key = await people.key(await people.owner(), "jobs.read", "jobs.write")
    whole = (await people.http.post("/auth/token", headers=key)).json()
    assert whole["scopes"] == ["jobs.read", "jobs.write"]
    less = await people.http.post("/auth/token", json={"scopes": ["jobs.read"]}, headers=key)
    token = {"Authorization": f"Bearer {less.json()['token']}"}
    assert (await people.http.get("/jobs", headers=token)).status_code == 200
    assert (await people.http.post("/jobs", json={}, headers=token)).status_code == 403
    assert jwt.decode(less.json()["token"], options={"verify_signature": False})["scope"] == "jobs.read"
    more = await people.http.post("/auth/token", json={"scopes": ["members.write"]}, headers=key)
    assert (more.status_code, more.json()["code"]) == (403, "permission_denied")

"""Organisations: made, entered, shared, left and closed; roles that nobody gives himself; an owner who always stays."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from control.accounts.model import Organisation
from control.accounts.permissions import OrgRole, PlatformRole
from control.loops import close, purge
from control.plane import Plane
from tests.integration.people.outbox import mailbox, token
from tests.support.control import torrent_file
from tests.support.people import Headers, People, Someone
from wire.clock import utcnow

ROUNDS = 10
"""Of a race: enough to meet it in either order."""


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def cookie(answer: httpx.Response, headers: Headers) -> Headers:
    """The same browser, after the answer."""
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    return headers | {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


async def invited(people: People, headers: Headers, email: str, role: str = "member") -> dict[str, Any]:
    answer = await people.http.post("/organisation/invitations", json={"email": email, "role": role}, headers=headers)
    assert answer.status_code == 201, answer.text
    said: dict[str, Any] = answer.json()
    return said | {"token": await token(people.plane, said["email"], "invitation")}


async def test_who_makes_an_organisation_owns_it_and_enters_it_with_a_new_cookie(people: People) -> None:
    me = await people.owner()
    before = await people.session(me)
    made = await people.http.post("/organisations", json={"name": "  Second  one "}, headers=before)
    assert (made.status_code, made.json()["name"], made.json()["role"]) == (201, "Second one", "owner")
    assert (await people.http.get("/organisation", headers=before)).json()["id"] == str(me.org), "not entered yet"
    entered = await people.http.post(f"/organisations/{made.json()['id']}/enter", headers=before)
    after = cookie(entered, before)
    assert (await people.http.get("/auth/me", headers=before)).status_code == 401, "the old cookie is void"
    said = (await people.http.get("/auth/me", headers=after)).json()
    assert said["organisation"] == made.json()
    assert said["csrf_token"] == before["X-CSRF-Token"], "other tabs go on"
    mine = (await people.http.get("/organisations", headers=after)).json()["items"]
    assert [each["id"] for each in mine] == [str(me.org), made.json()["id"]]
    renamed = await people.http.patch("/organisation", json={"name": "Better"}, headers=after)
    assert renamed.json()["name"] == "Better"


async def test_who_is_invited_gets_in_once_with_the_role_of_the_invitation(people: People) -> None:
    owner, guest = await people.owner(), await people.owner()
    boss, theirs = await people.session(owner), await people.session(guest)
    sent = await invited(people, boss, guest.email.upper(), "viewer")
    offer = await people.http.post("/invitations/look", json={"token": sent["token"]})
    assert (offer.json()["organisation"], offer.json()["role"], offer.json()["email"]) == (
        "Ours",
        "viewer",
        guest.email,
    )
    accepted = await people.http.post("/invitations/accept", json={"token": sent["token"]}, headers=theirs)
    assert accepted.json() == {"id": str(owner.org), "name": "Ours", "role": "viewer"}
    theirs = cookie(accepted, theirs)
    seen = (await people.http.get("/organisation/members", headers=theirs)).json()["items"]
    assert [(each["email"], each["role"]) for each in seen] == [(owner.email, "owner"), (guest.email, "viewer")]
    again = await people.http.post("/invitations/accept", json={"token": sent["token"]}, headers=theirs)
    assert code(again) == (404, "no_invitation")
    assert code(await people.http.post("/organisation/invitations", json={"email": guest.email}, headers=boss)) == (
        409,
        "member_already",
    )


async def test_an_invitation_is_void_once_revoked_sent_again_or_a_week_old(people: People) -> None:
    owner, guest = await people.owner(), await people.owner()
    boss, theirs = await people.session(owner), await people.session(guest)

    async def accept(token: str) -> httpx.Response:
        return await people.http.post("/invitations/accept", json={"token": token}, headers=theirs)

    first = await invited(people, boss, guest.email)
    url = f"/organisation/invitations/{first['id']}"
    twice = await people.http.post("/organisation/invitations", json={"email": guest.email}, headers=boss)
    assert code(twice) == (409, "invited_already")
    assert (await people.http.post(f"{url}/resend", headers=boss)).status_code == 200
    again = await token(people.plane, guest.email, "invitation")
    assert code(await accept(first["token"])) == (404, "no_invitation")
    async with people.plane.working() as tx:
        await tx.execute(text("UPDATE invitations SET expires_at = now() WHERE org_id = :org"), {"org": owner.org})
    assert code(await accept(again)) == (404, "no_invitation")
    third = await invited(people, boss, guest.email)
    (listed,) = (await people.http.get("/organisation/invitations", headers=boss)).json()["items"]
    assert listed == {name: said for name, said in third.items() if name != "token"}, "what had expired made room"
    gone = await people.http.delete(f"/organisation/invitations/{listed['id']}", headers=boss)
    assert gone.status_code == 204
    assert code(await accept(third["token"])) == (404, "no_invitation")


async def test_an_invitation_is_for_the_address_that_it_was_sent_to(people: People) -> None:
    owner, other = await people.owner(), await people.owner()
    sent = await invited(people, await people.session(owner), "somebody@example.org", "owner")
    theirs = await people.session(other)
    refused = await people.http.post("/invitations/accept", json={"token": sent["token"]}, headers=theirs)
    assert code(refused) == (409, "not_invited")
    assert await people.role_of(owner.org, other.person) is None


async def test_an_invitation_is_accepted_with_a_confirmed_address(people: People) -> None:
    owner, guest = await people.owner(), await people.owner()
    sent = await invited(people, await people.session(owner), guest.email)
    theirs = await people.session(guest)
    async with people.plane.working() as tx:
        await tx.execute(text("UPDATE people SET email_verified_at = NULL WHERE id = :me"), {"me": guest.person})
    refused = await people.http.post("/invitations/accept", json={"token": sent["token"]}, headers=theirs)
    assert code(refused) == (409, "email_unverified")
    assert await people.role_of(owner.org, guest.person) is None


async def test_nobody_raises_himself_or_gives_what_is_above_him(people: People) -> None:
    owner = await people.owner()
    admin, member = await people.join(owner.org, OrgRole.ADMIN), await people.join(owner.org, OrgRole.MEMBER)
    by_admin, by_member = await people.session(admin), await people.session(member)

    async def change(who: Someone, role: str, headers: Headers) -> httpx.Response:
        url = f"/organisation/members/{who.person}"
        return await people.http.patch(url, json={"role": role}, headers=headers)

    for who, role, headers in (
        (admin, "owner", by_admin),
        (member, "owner", by_admin),
        (owner, "member", by_admin),
        (member, "admin", by_member),
    ):
        assert code(await change(who, role, headers)) == (403, "permission_denied")
    as_owner = {"email": "a@example.org", "role": "owner"}
    refused = await people.http.post("/organisation/invitations", json=as_owner, headers=by_admin)
    assert code(refused) == (403, "permission_denied")
    gone = await people.http.delete(f"/organisation/members/{owner.person}", headers=by_admin)
    assert code(gone) == (403, "permission_denied")
    assert (await change(member, "admin", by_admin)).json()["role"] == "admin", "up to one's own"
    assert (await change(admin, "viewer", by_admin)).json()["role"] == "viewer", "and oneself down"
    assert code(await change(admin, "admin", by_admin)) == (403, "permission_denied")


async def test_the_last_owner_stays(people: People) -> None:
    owner = await people.owner()
    headers = await people.session(owner)
    me = f"/organisation/members/{owner.person}"
    for answer in (
        await people.http.patch(me, json={"role": "admin"}, headers=headers),
        await people.http.delete(me, headers=headers),
        await people.http.post(f"/organisations/{owner.org}/leave", headers=headers),
    ):
        assert code(answer) == (409, "last_owner")
    heir = await people.join(owner.org, OrgRole.OWNER)
    assert (await people.http.post(f"/organisations/{owner.org}/leave", headers=headers)).status_code == 204
    assert await people.role_of(owner.org, owner.person) is None
    assert await people.role_of(owner.org, heir.person) is OrgRole.OWNER


async def test_of_two_owners_who_take_it_from_each_other_at_once_one_stays(people: People) -> None:
    """Also where one leaves while the other is demoted, and where both leave."""

    async def race(number: int) -> None:
        one = await people.owner()
        two = await people.join(one.org, OrgRole.OWNER)
        acts = [
            _against(people, await people.session(me), other, one.org, number % 3)
            for me, other in ((one, two), (two, one))
        ]
        async with asyncio.TaskGroup() as group:
            done = [group.create_task(act) for act in acts]
        roles = [await people.role_of(one.org, who.person) for who in (one, two)]
        assert roles.count(OrgRole.OWNER) == 1, [task.result() for task in done]

    for number in range(ROUNDS):
        await race(number)


async def _against(people: People, mine: Headers, other: Someone, org: UUID, how: int) -> int:
    match how:
        case 0:
            url, body = f"/organisation/members/{other.person}", {"role": "member"}
            return (await people.http.patch(url, json=body, headers=mine)).status_code
        case 1:
            return (await people.http.delete(f"/organisation/members/{other.person}", headers=mine)).status_code
        case _:
            return (await people.http.post(f"/organisations/{org}/leave", headers=mine)).status_code


async def test_who_is_removed_is_out_at_once_with_keys_and_invitations(people: People) -> None:
    owner = await people.owner()
    admin = await people.join(owner.org, OrgRole.ADMIN)
    theirs, boss = await people.session(admin), await people.session(owner)
    _, key = await people.key(admin, "full")
    token = await people.token(admin, "jobs.read")
    sent = await invited(people, theirs, "a@example.org", "admin")
    assert (await people.http.get("/jobs", headers=token)).status_code == 200
    gone = await people.http.delete(f"/organisation/members/{admin.person}", headers=boss)
    assert gone.status_code == 204
    assert code(await people.http.get("/jobs", headers=theirs)) == (403, "permission_denied")
    assert (await people.http.get("/auth/me", headers=theirs)).json()["organisation"] is None
    assert (await people.http.get("/jobs", headers=key)).status_code == 401
    assert (await people.http.get("/jobs", headers=token)).status_code == 401
    looked = await people.http.post("/invitations/look", json={"token": sent["token"]})
    assert code(looked) == (404, "no_invitation")
    assert code(await people.http.post(f"/organisations/{owner.org}/enter", headers=theirs)) == (404, "not_found")


async def test_a_closed_organisation_is_nobodys_and_its_jobs_and_rows_go(people: People, plane: Plane) -> None:
    owner = await people.owner()
    viewer = await people.join(owner.org, OrgRole.VIEWER)
    boss, theirs = await people.session(owner), await people.session(viewer)
    _, key = await people.key(owner, "full")
    for name in ("one", "two"):
        await people.http.post("/jobs", files={"torrent": ("a", torrent_file(name))}, headers=boss)
    await invited(people, boss, "a@example.org")
    wrong = await people.http.post("/organisation/close", json={"confirm": "ours"}, headers=boss)
    assert code(wrong) == (422, "not_confirmed")
    closed = await people.http.post("/organisation/close", json={"confirm": "Ours"}, headers=boss)
    assert closed.json() == {"members": [viewer.email]}
    assert await mailbox(plane, viewer.email) == ["An organisation was deleted"]
    for headers in (boss, theirs):
        assert code(await people.http.get("/jobs", headers=headers)) == (403, "permission_denied")
    assert (await people.http.get("/jobs", headers=key)).status_code == 401
    await close.step(plane, utcnow())
    async with plane.working() as tx:
        said = text("SELECT DISTINCT state FROM jobs WHERE org_id = :org AND removed_at IS NOT NULL")
        assert list((await tx.execute(said, {"org": owner.org})).scalars()) == ["cancelled"]
    await purge.step(plane, utcnow())
    async with plane.working() as tx:  # what grants might still bring back is swept for a while; as if that were over
        await tx.execute(text("DELETE FROM tombstones WHERE scope_id = :org"), {"org": owner.org})
    await close.step(plane, utcnow())
    assert not await close.step(plane, utcnow())
    async with plane.working() as tx:
        assert await tx.get(Organisation, owner.org) is None
        left = text("SELECT count(*) FROM torrents WHERE scope_id = :org")
        assert (await tx.execute(left, {"org": owner.org})).scalar() == 0
        told = text("SELECT action FROM audit WHERE org_id = :org AND target = :what ORDER BY id")
        said = told.bindparams(org=owner.org, what=f"organisation:{owner.org}")
        assert list((await tx.execute(said)).scalars()) == ["organisation.deleted", "organisation.ended"]


async def test_a_role_on_the_platform_comes_from_somebody_with_no_lower_one(people: People) -> None:
    org = await people.organisation()
    top = await people.join(org, OrgRole.OWNER, PlatformRole.SUPERADMIN)
    admin = await people.join(org, OrgRole.MEMBER, PlatformRole.ADMIN)
    user = await people.join(org, OrgRole.MEMBER)
    by_admin, by_user = await people.session(admin), await people.session(user)
    await people.without_password(top, admin, user)

    async def give(who: Someone, role: str, headers: Headers) -> httpx.Response:
        body = {"email": who.email, "role": role, "reason": "they are to help from now on"}
        return await people.http.put("/admin/roles", json=body, headers=headers)

    assert (await people.http.get("/fleet/agents", headers=by_user)).status_code == 403
    assert (await give(user, "operator", by_admin)).json()["role"] == "operator"
    assert (await people.http.get("/fleet/agents", headers=by_user)).status_code == 200
    assert code(await give(user, "superadmin", by_admin)) == (403, "permission_denied")
    assert code(await give(top, "user", by_admin)) == (403, "permission_denied")
    assert code(await give(admin, "admin", by_admin)) == (404, "not_found"), "one's own is for others to change"
    assert code(await give(user, "admin", by_user)) == (403, "permission_denied")


async def test_of_two_superadmins_who_take_it_from_each_other_at_once_one_stays(people: People) -> None:
    org = await people.organisation()
    for _ in range(ROUNDS):
        pair = [await people.join(org, OrgRole.MEMBER, PlatformRole.SUPERADMIN) for _ in range(2)]
        sessions = [await people.session(each) for each in pair]
        await people.without_password(*pair)
        async with asyncio.TaskGroup() as group:
            for other, headers in zip(reversed(pair), sessions, strict=True):
                body = {"email": other.email, "role": "user", "reason": "one of us is too many"}
                group.create_task(people.http.put("/admin/roles", json=body, headers=headers))
        roles = [(await people.http.get("/auth/me", headers=each)).json()["platform_role"] for each in sessions]
        assert sorted(roles) == ["superadmin", "user"]

"""What who runs the platform sees: figures that are counted, and whoever and whatever there is, by a text or an id."""

import secrets

from control.accounts.permissions import OrgRole, PlatformRole
from control.fleet.model import Agent
from control.transfers.model import Object
from tests.integration.admin.conftest import Boss, make
from tests.support.fleet import add_agent, add_transfer
from tests.support.people import People
from wire.clock import utcnow
from wire.ids import new_id
from wire.states import AgentState


async def test_the_overview_counts_what_there_is(admin: Boss) -> None:
    plane = admin.people.plane
    before = await admin.get("/admin/overview")
    wanted, agent = await add_transfer(plane, 1_000), await add_agent(plane)
    async with plane.working() as tx:
        row = {"scope_id": wanted.org, "key": f"k/{wanted.transfer}", "epoch": 1, "opened_at": utcnow()}
        tx.add(Object(transfer_id=wanted.transfer, file=0, size_bytes=1_000, stored_at=utcnow(), **row))
        (await tx.get_one(Agent, agent.id)).state = AgentState.LOST
    after = await admin.get("/admin/overview")
    grown = {name: after[name] - before[name] for name in ("people", "organisations", "stored_bytes")}
    assert grown == {"people": 1, "organisations": 1, "stored_bytes": 1_000}
    assert after["agents"]["lost"] - before["agents"]["lost"] == 1
    assert after["attention"]["agents_lost"] - before["attention"]["agents_lost"] == 1
    assert after["transfers"]["waiting"] - before["transfers"].get("waiting", 0) == 1
    assert after["waiting"]["transfers"] - before["waiting"]["transfers"] == 1
    assert after["last_day"]["stored_bytes"] - before["last_day"]["stored_bytes"] == 1_000
    storage = await admin.get("/admin/storage")
    assert storage["bytes"] == after["stored_bytes"]
    assert {"organisation": str(wanted.org), "name": "tests", "objects": 1, "bytes": 1_000} in storage["largest"]


async def test_people_are_found_by_address_and_id_without_their_secrets(admin: Boss, people: People) -> None:
    who = await people.owner()
    await people.session(who)
    await people.key(who, "full")
    for text in (who.email, who.email[:9].upper(), str(who.person)):
        [found] = (await admin.get("/admin/people", q=text))["items"]
        assert (found["id"], found["organisations"]) == (str(who.person), 1)
        assert found["seen_at"] is not None
    detail = await admin.get(f"/admin/people/{who.person}")
    assert [each["role"] for each in detail["memberships"]] == ["owner"]
    assert (detail["sessions"], detail["keys"], detail["has_totp"]) == (1, 1, False)
    assert not [word for word in ("hash", "secret", "token") if word in str(detail).lower()]
    gone = await people.http.get(f"/admin/people/{new_id()}", headers=admin.headers)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


async def test_lists_go_on_where_a_page_ended(admin: Boss, people: People) -> None:
    name = secrets.token_hex(4)
    made = [str(await people.organisation(f"{name} {n}")) for n in range(3)]
    first = await admin.get("/admin/organisations", q=name, limit=2)
    second = await admin.get("/admin/organisations", q=name, limit=2, cursor=first["next_cursor"])
    assert [each["id"] for each in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    assert (await admin.get("/admin/organisations", q="100%_"))["items"] == [], "a text is a text, no pattern"


async def test_an_organisation_is_shown_with_who_is_in_it(admin: Boss, people: People) -> None:
    owner = await people.owner()
    viewer = await people.join(owner.org, OrgRole.VIEWER)
    await add_transfer(people.plane, 10, org=owner.org)
    detail = await admin.get(f"/admin/organisations/{owner.org}")
    assert {each["email"]: each["role"] for each in detail["members"]} == {owner.email: "owner", viewer.email: "viewer"}
    assert sum(detail["jobs"].values()) == detail["organisation"]["jobs"] == 1
    assert detail["organisation"]["stored_bytes"] == 0


async def test_jobs_of_all_are_found_by_name_hash_and_id(admin: Boss, people: People) -> None:
    owner, digest, name = await people.owner(), secrets.token_hex(20), secrets.token_hex(6)
    magnet = {"magnet": f"magnet:?xt=urn:btih:{digest}&dn=The {name} film"}
    made = await people.http.post("/jobs", json=magnet, headers=await people.session(owner))
    job = made.json()["id"]
    for text in (f"{name} FILM", digest.upper(), job):
        [found] = (await admin.get("/admin/jobs", q=text))["items"]
        assert (found["id"], found["organisation"], found["person"]) == (job, str(owner.org), str(owner.person))
    assert [each["id"] for each in (await admin.get("/admin/jobs", org=str(owner.org)))["items"]] == [job]
    assert (await admin.get("/admin/jobs", org=str(owner.org), state="failed"))["items"] == []
    assert (await admin.get(f"/admin/jobs/{job}"))["v1"] == digest


async def test_one_search_finds_all_kinds_and_people_only_for_who_may_see_them(people: People) -> None:
    name = secrets.token_hex(6)
    who = await people.join(await people.organisation(f"Films {name}"), OrgRole.OWNER)
    agent = await add_agent(people.plane)
    async with people.plane.working() as tx:
        (await tx.get_one(Agent, agent.id)).name = f"a {name}"
    for role, sees in ((PlatformRole.SUPPORT, True), (PlatformRole.OPERATOR, False)):
        boss = await make(people, role)
        found = await boss.get("/admin/search", q=name)
        assert [each["id"] for each in found["organisations"]] == [str(who.org)]
        assert [each["id"] for each in found["agents"]] == [str(agent.id)]
        found = await boss.get("/admin/search", q=who.email)
        assert [each["email"] for each in found["people"]] == ([who.email] if sees else [])
    short = await people.http.get("/admin/search", params={"q": "a"}, headers=boss.headers)
    assert (short.status_code, short.json()["code"]) == (422, "too_short")

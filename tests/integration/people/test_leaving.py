"""Leaving, and taking one's data along."""

import asyncio

import msgspec

from control.loops import close
from tests.integration.people.conftest import registered, signed_in
from tests.integration.people.outbox import mailbox
from tests.support.control import Api, torrent_file
from wire.clock import utcnow


async def test_who_leaves_is_gone_with_jobs_keys_and_sessions_and_the_address_is_free(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as program:
        key = (await http.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
        job = (await http.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("left"))})).json()["id"]
        leave = {"confirm": mine.email, "password": mine.password}
        for wrong, code in (({"confirm": "yes"}, "not_confirmed"), ({"password": "wrong, wrong"}, "wrong_password")):
            assert (await http.post("/api/v1/auth/leave", json=leave | wrong)).json()["code"] == code
        assert (await http.post("/api/v1/auth/leave", json=leave)).status_code == 204
        assert (await http.get("/api/v1/auth/me")).status_code == 401
        assert (await program.get("/api/v1/jobs", headers={"Authorization": f"Bearer {key}"})).status_code == 401
        assert (await http.post("/api/v1/auth/login", json=mine.body)).status_code == 401
        assert (await http.post("/api/v1/auth/register", json=mine.body)).status_code == 201
    await close.step(own.plane, utcnow())
    row = await own.databases.sql(f"SELECT state, removed_at IS NOT NULL FROM jobs WHERE id = '{job}'")
    assert row == "cancelled|t", "what is left of it is purge's"
    assert mine.email not in await own.databases.sql("SELECT email FROM people WHERE deleted_at IS NOT NULL")
    assert "Your account was changed" in await mailbox(own.plane, mine.email)


async def test_the_last_owner_does_not_leave_others_without_one(own: Api) -> None:
    mine, other = await registered(own), await registered(own)
    async with signed_in(own, mine) as http, signed_in(own, other) as fellow:
        me = (await http.get("/api/v1/auth/me")).json()
        them = (await fellow.get("/api/v1/auth/me")).json()["id"]
        org = me["organisation"]["id"]
        joins = "INSERT INTO members (org_id, person_id, role, joined_at) VALUES ('{}', '{}', '{}', now())"
        await own.databases.sql(joins.format(org, them, "member"))
        leave = {"confirm": mine.email, "password": mine.password}
        refused = await http.post("/api/v1/auth/leave", json=leave)
        assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
        await own.databases.sql(f"UPDATE members SET role = 'owner' WHERE person_id = '{them}'")
        job = (await http.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("shared work"))})).json()["id"]
        assert (await http.post("/api/v1/auth/leave", json=leave)).status_code == 204
    kept = await own.databases.sql(f"SELECT removed_at IS NULL FROM jobs WHERE id = '{job}'")
    assert kept == "t", "what others share stays theirs"
    assert await own.databases.sql(f"SELECT person_id FROM members WHERE org_id = '{org}'") == them


async def test_of_two_owners_who_leave_at_once_one_stays_with_the_others(own: Api) -> None:
    one, two, third = await registered(own), await registered(own), await registered(own)
    async with signed_in(own, one) as first, signed_in(own, two) as second:
        org = (await first.get("/api/v1/auth/me")).json()["organisation"]["id"]
        for who, role in ((two, "owner"), (third, "viewer")):
            await own.databases.sql(
                "INSERT INTO members (org_id, person_id, role, joined_at)"
                f" SELECT '{org}', id, '{role}', now() FROM people WHERE email = '{who.email}'"
            )
        async with asyncio.TaskGroup() as group:
            leaving = [
                group.create_task(
                    http.post("/api/v1/auth/leave", json={"confirm": who.email, "password": who.password})
                )
                for http, who in ((first, one), (second, two))
            ]
        assert sorted(each.result().status_code for each in leaving) == [204, 409]
    owners = await own.databases.sql(f"SELECT count(*) FROM members WHERE org_id = '{org}' AND role = 'owner'")
    assert owners == "1"


async def test_who_has_a_role_on_the_platform_does_not_leave_with_it(own: Api) -> None:
    mine = await registered(own)
    await own.databases.sql(f"UPDATE people SET platform_role = 'superadmin' WHERE email = '{mine.email}'")
    async with signed_in(own, mine) as http:
        refused = await http.post("/api/v1/auth/leave", json={"confirm": mine.email, "password": mine.password})
        assert (refused.status_code, refused.json()["code"]) == (409, "platform_role")
        assert (await http.get("/api/v1/auth/me")).status_code == 200


async def test_an_export_has_every_row_about_me_and_no_secret(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        await http.post("/api/v1/auth/keys", json={"name": "ci"})
        await http.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("exported"))})
        answer = await http.get("/api/v1/auth/export")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        said = answer.json()
        cookie = http.cookies["session"]
    me = said["rows"]["people"][0]["id"]
    named = await own.databases.sql(
        "SELECT table_name FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE column_name = 'person_id' AND table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    assert set(named.split()) <= said["rows"].keys(), "a new table about people is exported too"
    for table in named.split():
        count = await own.databases.sql(f"SELECT count(*) FROM {table} WHERE person_id = '{me}'")
        assert len(said["rows"][table]) == int(count), table
    assert [row["name"] for row in said["rows"]["api_keys"]] == ["ci"]
    assert "person.registered" in [row["action"] for row in said["rows"]["audit"]]
    assert said["cut"] == []
    for secret in ("password_hash", "token_hash", "$argon2", cookie):
        assert secret not in msgspec.json.encode(said).decode()

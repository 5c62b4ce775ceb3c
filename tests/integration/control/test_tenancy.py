"""Organisations never see each other, through the API or through SQL as the api's role; the log is append-only."""

import datetime as dt
import secrets

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control.accounts import tokens
from control.accounts.bootstrap import Bootstrap, bootstrap
from control.accounts.permissions import OrgRole
from control.accounts.tokens import new_key
from control.db import Asker
from control.plane import Plane
from tests.support.control import PASSWORD, Api, torrent_file
from tests.support.people import People
from wire.clock import utcnow
from wire.ids import OrgId, new_id

TABLES = """SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'm') AND relnamespace = 'public'::regnamespace
            AND relname <> 'alembic_version' ORDER BY 1"""
NAMED = """SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
           WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attname IN ('org_id', 'scope_id')"""
UNREADABLE = {"rates", "cases", "outbox", "audit_seals", "audit_unsealed", "flags", "announcements"}
EVERYBODYS = {"plans", "terms"}
"""What anybody may read, and nobody here write."""


async def test_what_is_not_yours_is_not_there(api: Api) -> None:
    async with api.member() as owner, api.member() as stranger:
        made = (await owner.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("mine"))})).json()
        key = (await owner.post("/api/v1/auth/keys", json={"name": "x"})).json()["id"]
        url = f"/api/v1/jobs/{made['id']}"
        for method, path in (
            ("GET", url),
            ("GET", f"{url}/timeline"),
            ("GET", f"{url}/progress"),
            ("GET", f"{url}/files"),
            ("GET", f"{url}/events"),
            ("POST", f"{url}/cancel"),
            ("POST", f"{url}/files/0/link"),
            ("DELETE", url),
            ("DELETE", f"/api/v1/auth/keys/{key}"),
        ):
            answer = await stranger.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert (await stranger.get("/api/v1/jobs")).json()["items"] == []
        assert (await owner.get(url)).json()["state"] == "submitted"


async def test_a_key_and_its_token_open_their_own_organisation_alone(api: Api) -> None:
    async with api.member() as owner, api.member() as stranger, api.client() as program:
        made = (await owner.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("theirs"))})).json()
        key = (await stranger.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
        by_key = {"Authorization": f"Bearer {key}"}
        token = (await program.post("/api/v1/auth/token", headers=by_key)).json()["token"]
        url = f"/api/v1/jobs/{made['id']}"
        for shown in (by_key, {"Authorization": f"Bearer {token}"}):
            for method, path in (("GET", url), ("GET", f"{url}/events"), ("POST", f"{url}/cancel"), ("DELETE", url)):
                assert (await program.request(method, path, headers=shown)).status_code == 404
            assert (await program.get("/api/v1/jobs", headers=shown)).json()["items"] == []


async def test_the_same_torrent_is_another_job_for_another_organisation(api: Api) -> None:
    data = torrent_file("shared")
    async with api.member() as one, api.member() as other:
        mine = await one.post("/api/v1/jobs", files={"torrent": ("a", data)})
        theirs = await other.post("/api/v1/jobs", files={"torrent": ("a", data)})
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_without_an_organisation_the_apis_role_sees_no_row_of_any_table(api: Api, plane: Plane) -> None:
    async with api.member() as owner:
        await owner.post(
            "/api/v1/jobs", files={"torrent": ("a", torrent_file("rows"))}, headers={"Idempotency-Key": "k"}
        )
        await owner.post("/api/v1/auth/keys", json={"name": "x"})
    tables = (await api.databases.sql(TABLES)).split()
    assert {"jobs", "torrents", "files", "transfers", "people", "sessions", "audit"} <= set(tables)
    for who in (Asker(), Asker(org=OrgId(new_id()))):
        for table in set(tables) - EVERYBODYS:
            async with plane.asking(who) as tx:
                if table in UNREADABLE:
                    with pytest.raises(DBAPIError, match="permission denied"):
                        await tx.execute(text(f"SELECT * FROM {table}"))
                    await tx.rollback()
                    continue
                assert (await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0, table


async def test_with_an_organisation_of_its_own_the_apis_role_sees_no_foreign_row_of_any_table(
    api: Api, plane: Plane, people: People
) -> None:
    """Whatever is visible names the asker's organisation or person; the whole database is full of others'."""
    home, mine = await people.owner(), await people.owner()
    for each in (home, mine):
        headers = await people.session(each)
        await people.key(each, "full")
        await people.http.post(
            "/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"}, headers=headers
        )
        await people.http.post("/organisation/invitations", json={"email": "a@example.org"}, headers=headers)
    own = "strpos(t::text, :org) > 0 OR strpos(t::text, :person) > 0"
    named = {"org": str(mine.org), "person": str(mine.person)}
    asker = Asker(org=mine.org, person=mine.person, email=mine.email)
    seen = set()
    for table in (await api.databases.sql(TABLES)).split():
        if table in UNREADABLE | EVERYBODYS:
            continue
        async with plane.asking(asker) as tx:
            count = f"SELECT count(*) FILTER (WHERE {own}), count(*) FILTER (WHERE NOT ({own})) FROM {table} t"
            ours, foreign = (await tx.execute(text(count), named)).one()
        assert foreign == 0, table
        seen |= {table} if ours else set()
    assert {"organisations", "people", "members", "fellows", "sessions", "api_keys", "invitations", "jobs"} <= seen


async def test_of_one_another_members_see_addresses_and_nothing_else(plane: Plane, people: People) -> None:
    owner = await people.owner()
    viewer = await people.join(owner.org, OrgRole.VIEWER)
    async with plane.asking(Asker(org=owner.org, person=viewer.person)) as tx:
        seen = set((await tx.execute(text("SELECT email FROM fellows"))).scalars())
        rows = list((await tx.execute(text("SELECT email FROM people"))).scalars())
    assert (seen, rows) == ({owner.email, viewer.email}, [viewer.email])


async def test_a_secret_shows_who_it_belongs_to_and_lets_nothing_be_written(plane: Plane, people: People) -> None:
    who = await people.owner()
    _, headers = await people.key(who, "full")
    secret_hash = tokens.digest(headers["Authorization"].removeprefix("Bearer "))
    for changed in ("people SET email = email", "members SET role = role", "organisations SET name = name"):
        async with plane.asking(Asker(secret_hash=secret_hash)) as tx:
            assert (await tx.execute(text(f"SELECT count(*) FROM {changed.split()[0]}"))).scalar() == 1
            done = await tx.execute(text(f"UPDATE {changed}"))
            assert done.rowcount == 0, changed  # type: ignore[attr-defined] # of a cursor's result


async def test_the_apis_role_is_nothing_special(api: Api) -> None:
    special = "rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb"
    said = await api.databases.sql(
        f"SELECT count(*) FROM pg_roles WHERE rolname ~ 'seedlift_(api|work)' AND ({special})"
    )
    owned = await api.databases.sql("SELECT count(*) FROM pg_tables WHERE tableowner ~ 'seedlift_(api|work)'")
    assert (said, owned) == ("0", "0")


async def test_no_row_of_any_table_can_be_written_or_taken_over_for_another_organisation(
    api: Api, plane: Plane
) -> None:
    """Asks the catalogue: whichever tables name an organisation or scope refuse copies of its own rows."""
    async with api.member() as owner:
        await owner.post(
            "/api/v1/jobs", files={"torrent": ("a", torrent_file("whose"))}, headers={"Idempotency-Key": "k"}
        )
        await owner.post("/api/v1/auth/keys", json={"name": "x"})
        org = (await owner.get("/api/v1/auth/me")).json()["organisation"]["id"]
    named = (await api.databases.sql(NAMED)).split()
    assert {"jobs.org_id", "torrents.scope_id", "files.scope_id", "audit.org_id", "api_keys.org_id"} <= set(named)
    for table, _, column in (each.partition(".") for each in named):
        with pytest.raises(DBAPIError, match=r"row-level security|permission denied"):
            async with plane.asking(Asker(org=OrgId(new_id()))) as tx:
                await tx.execute(text(f"INSERT INTO {table} ({column}) VALUES ('{org}')"))
        if table == "audit":
            continue  # nobody changes it at all
        for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            assert await changed(plane, f"{change} WHERE {column} = '{org}'") == 0, table


async def changed(plane: Plane, statement: str) -> int:
    """Rows, by another organisation; none also where the api's role may not write at all."""
    try:
        async with plane.asking(Asker(org=OrgId(new_id()))) as tx:
            done = await tx.execute(text(statement))
            return done.rowcount  # type: ignore[attr-defined, no-any-return] # of a cursor's result
    except DBAPIError as denied:
        if "permission denied" not in str(denied):
            raise
        return 0


@pytest.mark.parametrize(
    "change", ["UPDATE plans SET active = 1", "DELETE FROM plans", "UPDATE quotas SET plan = 'house', own = '{}'"]
)
async def test_nobody_writes_his_own_limits(plane: Plane, people: People, change: str) -> None:
    mine = await people.owner()
    async with plane.asking(Asker(org=mine.org, person=mine.person)) as tx:
        assert (await tx.execute(text(change))).rowcount == 0  # type: ignore[attr-defined] # of a cursor's result


async def test_nobody_writes_into_another_organisation(api: Api, plane: Plane) -> None:
    async with api.member() as owner:
        org = (await owner.get("/api/v1/auth/me")).json()["organisation"]["id"]
    with pytest.raises(DBAPIError, match="row-level security"):
        async with plane.asking(Asker(org=OrgId(new_id()))) as tx:
            await tx.execute(
                text(
                    "INSERT INTO torrents (id, scope_id, v1, created_at)"
                    f" VALUES ('{new_id()}', '{org}', decode(repeat('00', 20), 'hex'), now())"
                )
            )


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_the_log_is_only_written_to(api: Api, plane: Plane, change: str) -> None:
    async with api.member():
        pass
    with pytest.raises(DBAPIError):
        async with plane.working() as tx:
            await tx.execute(text(change))
    with pytest.raises(AssertionError, match="append-only"):
        await api.databases.sql(change)


async def test_every_change_leaves_its_row_in_the_log(api: Api) -> None:
    async with api.member() as http:
        me = (await http.get("/api/v1/auth/me")).json()
        made = await http.post(
            "/api/v1/jobs",
            json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"},
            headers={"X-Request-Id": "audit-me-1"},
        )
        url = f"/api/v1/jobs/{made.json()['id']}"
        await http.post(f"{url}/cancel")
        await http.delete(url)
        await http.post("/api/v1/auth/logout")
    org = me["organisation"]["id"]
    said = await api.databases.sql(f"SELECT action FROM audit WHERE org_id = '{org}' ORDER BY id")
    assert said.split() == [
        "person.registered", "session.started", "job.added", "job.cancelled", "job.removed", "session.ended",
    ]  # fmt: skip
    row = await api.databases.sql(
        f"SELECT actor, request_id, ip FROM audit WHERE target = 'job:{url[-36:]}' ORDER BY id LIMIT 1"
    )
    assert row == f"person:{me['id']}|audit-me-1|127.0.0.1"


async def test_bootstrap_makes_the_admin_once_and_keeps_the_operators_key(api: Api, plane: Plane) -> None:
    email, key, now = f"{secrets.token_hex(4)}@example.org", new_key().secret, utcnow()
    first = await bootstrap(plane.db, Bootstrap(email, PASSWORD, key), now)
    again = await bootstrap(plane.db, Bootstrap(email, None, key), now + dt.timedelta(seconds=1))
    assert (first.admin_created, again.admin_created) == (True, False)
    async with api.client() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        me = (await http.get("/api/v1/auth/me")).json()
    assert (me["email"], me["platform_role"], me["organisation"]["name"]) == (email, "superadmin", "Operations")

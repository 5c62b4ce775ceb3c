"""Reading the log: an organisation its own, operators everybody's; by filter, by text, page by page, and as a file."""

import csv
import io
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import event, text

from control.accounts.bootstrap import Bootstrap, bootstrap
from control.accounts.tokens import new_key
from control.audit import search
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.search import Wanted
from control.audit.service import Actor
from control.db import Asker
from control.plane import Plane
from tests.support.control import PASSWORD, Api, magnet
from tests.support.logbook import Logbook, logbook, template
from tests.support.servers import Databases
from wire.clock import utcnow
from wire.ids import OrgId, new_id

ROWS = 100_000
ORGS = 20


@asynccontextmanager
async def operator(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    key = new_key().secret
    await bootstrap(api.plane.db, Bootstrap(f"{secrets.token_hex(4)}@example.org", PASSWORD, key), utcnow())
    async with api.client() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        yield http


async def actions(http: httpx.AsyncClient, path: str = "/api/v1/audit", **query: str) -> list[str]:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [item["action"] for item in answer.json()["items"]]


async def test_members_read_what_happened_in_their_own_organisation_alone(api: Api) -> None:
    async with api.member() as mine, api.member() as theirs, operator(api) as admin:
        job = (await mine.post("/api/v1/jobs", json={"magnet": magnet("a1")})).json()["id"]
        me = (await mine.get("/api/v1/auth/me")).json()
        assert await actions(mine) == ["job.added", "session.started", "person.registered"]
        assert await actions(theirs) == ["session.started", "person.registered"]
        for path in ("/api/v1/admin/audit", "/api/v1/admin/audit.csv", "/api/v1/admin/audit.jsonl"):
            assert (await mine.get(path)).status_code == 403
        assert await actions(admin, "/api/v1/admin/audit", target=f"job:{job}") == ["job.added"]
        (item,) = (await mine.get("/api/v1/audit", params={"action": "job.added"})).json()["items"]
    assert (item["actor"], item["target"], item["severity"]) == (f"person:{me['id']}", f"job:{job}", "info")
    assert (item["organisation"], item["ip"]) == (me["organisation"]["id"], "127.0.0.1")


async def test_each_filter_and_a_text_narrow_it_and_pages_miss_nothing(api: Api, plane: Plane) -> None:
    async with api.member() as http:
        me = (await http.get("/api/v1/auth/me")).json()
        org = OrgId(me["organisation"]["id"])
        now = utcnow()
        async with plane.asking(Asker(org=org)) as tx:
            for n in range(5):  # all at one moment: the id decides
                await audit.record(tx, Actor(name="person:x", org=org), "thing.done", f"thing:{n}", now, why="50% off_")
            await audit.record_as(tx, Severity.WARNING, Actor(name="y", org=org), "odd.thing", "z", now)
        both = ["session.started", "person.registered"]
        assert await actions(http, actor="y") == ["odd.thing"]
        assert await actions(http, severity="warning") == ["odd.thing"]
        assert await actions(http, severity="info", action="thing.done", target="thing:3") == ["thing.done"]
        assert await actions(http, until=now.isoformat()) == both
        assert len(await actions(http, since=now.isoformat())) == 6
        assert await actions(http, q="0% OFF_") == ["thing.done"] * 5
        assert await actions(http, q="0%off") == [], "a text is no pattern"
        assert await actions(http, q=me["id"]) == both
        seen: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await http.get("/api/v1/audit", params={"limit": "3", **cursor})).json()
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 8
    assert seen[:6] == sorted(seen[:6], reverse=True)


@pytest.mark.parametrize(
    "query",
    ["q=", "q=%00", "actor=%ff%00", "target=" + "x" * 201, "severity=loud", "since=yesterday", "cursor=aQ",
     "cursor=dP__________f________", "since=0001-01-01T00:00:00%2B05:00", "limit=0"],
)  # fmt: skip
async def test_what_cannot_be_looked_for_is_refused(api: Api, query: str) -> None:
    async with api.member() as http:
        answer = await http.get(f"/api/v1/audit?{query}")
    assert answer.status_code == 422, answer.text


async def test_the_log_is_taken_away_as_a_table_and_as_json_and_that_is_told(api: Api, plane: Plane) -> None:
    async with api.member() as http, operator(api) as admin:
        org = OrgId((await http.get("/api/v1/auth/me")).json()["organisation"]["id"])
        async with plane.asking(Asker(org=org)) as tx:
            await audit.record(tx, Actor(name="=1+1", org=org), "a", '@SUM(A1),"\n', utcnow(), x='=cmd|"/c calc"')
        table = await http.get("/api/v1/audit.csv")
        rows = list(csv.reader(io.StringIO(table.text)))
        lines = await http.get("/api/v1/audit.jsonl", params={"action": "a"})
        everything = await admin.get("/api/v1/admin/audit.jsonl", params={"target": f"organisation:{org}"})
    assert table.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    assert rows[0][:4] == ["id", "at", "organisation", "actor"]
    assert [row[4] for row in rows[1:]] == ["audit.exported", "a", "session.started", "person.registered"]
    assert rows[2][3:6] == ["'=1+1", "a", "'@SUM(A1),\"\n"]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    (line,) = lines.text.splitlines()
    assert (msgspec.json.decode(line)["actor"], msgspec.json.decode(line)["detail"]) == (
        "=1+1",
        {"x": '=cmd|"/c calc"'},
    )
    told = [msgspec.json.decode(line) for line in everything.text.splitlines()]
    assert [(each["action"], each["severity"], each["detail"]) for each in told] == [
        ("audit.exported", "notice", {"file": "audit.jsonl"}), ("audit.exported", "notice", {"file": "audit.csv"}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
async def big(plane: Plane, postgres: Databases) -> AsyncIterator[Logbook]:
    async with logbook(plane, postgres, await template(postgres)) as log:
        orgs = ",".join(f"'{new_id()}'" for _ in range(ORGS))
        await log.damage(  # without the trigger: quicker, and nothing here is sealed
            "INSERT INTO audit (at, org_id, actor, action, target, severity, detail)"
            f" SELECT now() - n * interval '1 second', (ARRAY[{orgs}]::uuid[])[1 + n % {ORGS}], 'person:' || n % 977,"
            "  'thing.' || n % 13, 'thing:' || n, CASE n % 50 WHEN 0 THEN 'warning' ELSE 'info' END, '{}'"
            f" FROM generate_series(1, {ROWS}) n; ANALYZE audit"
        )
        yield log


FILTERS = {
    "nothing": Wanted(),
    "actor": Wanted(actor="person:9"),
    "action": Wanted(action="thing.9"),
    "target": Wanted(target="thing:99"),
    "severity": Wanted(severity=Severity.WARNING),
    "info": Wanted(severity=Severity.INFO),
    "times": Wanted(since=utcnow().replace(year=2000), until=utcnow()),
    "text": Wanted(text="thing:99"),
    "nobody": Wanted(text="no such thing", severity=Severity.WARNING),
}


@pytest.mark.parametrize("whose", ["own", "all"])
async def test_no_page_of_a_big_log_reads_the_whole_table(big: Logbook, whose: str) -> None:
    org = OrgId(UUID(await big.sql("SELECT org_id FROM audit LIMIT 1"))) if whose == "own" else None
    open_tx = partial(big.plane.asking, Asker(org=org)) if org else big.plane.working
    for name, wanted in FILTERS.items():
        said: list[tuple[str, object]] = []
        async with open_tx() as tx:
            connection = (await tx.connection()).sync_connection
            assert connection is not None

            def note(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
                said.append((statement, parameters))  # noqa: B023 - called within this turn

            event.listen(connection, "before_cursor_execute", note)
            first = await search.page(tx, org, wanted, None, 50)
            await search.page(tx, org, wanted, first.more, 50)
            event.remove(connection, "before_cursor_execute", note)
            for statement, parameters in said:
                raw = await tx.connection()
                plan = await raw.exec_driver_sql(f"EXPLAIN {statement}", parameters)  # type: ignore[arg-type] # as noted
                lines = "\n".join(row[0] for row in plan)
                assert "Seq Scan" not in lines, f"{name}: {lines}"
                assert "audit_by_" in lines, f"{name}: {lines}"


async def test_a_text_that_is_far_away_is_found_by_going_on(big: Logbook) -> None:
    oldest = Wanted(text=f"thing:{ROWS}")
    turns, before = 0, None
    while True:
        async with big.plane.working() as tx:
            found = await search.page(tx, None, oldest, before, 50)
        turns, before = turns + 1, found.more
        if found.entries or before is None:
            break
    assert [entry.target for entry in found.entries] == [f"thing:{ROWS}"]
    assert turns == ROWS / search.LOOKED_MAX


async def test_the_role_of_the_api_sees_its_own_organisations_rows_whatever_it_asks_for(big: Logbook) -> None:
    org = OrgId(UUID(await big.sql("SELECT org_id FROM audit LIMIT 1")))
    async with big.plane.asking(Asker(org=org)) as tx:
        found = await tx.execute(text("SELECT count(*), count(DISTINCT org_id) FROM audit"))
        assert tuple(found.one()) == (ROWS // ORGS, 1)
        assert (await search.page(tx, OrgId(new_id()), Wanted(), None, 50)).entries == []

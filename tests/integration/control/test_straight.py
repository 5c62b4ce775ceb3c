"""Transactions without SQLAlchemy: they name who asks, are whole or nothing, and outlive a lost connection."""

import asyncio

import pytest

from control import db
from control.db import Asker, Database
from control.straight import Straight
from tests.support.people import People
from wire.ids import OrgId, PersonId, new_id

NAMES = ("org", "person", "email", "secret", "operator")
SAID = "SELECT " + ", ".join(f"coalesce(current_setting('app.{name}', true), '') AS {name}" for name in NAMES)


async def _named(asked: Straight) -> dict[str, str]:
    return dict(await asked.fetchrow(SAID))


@pytest.mark.parametrize(
    "who",
    [
        Asker(org=OrgId(new_id()), person=PersonId(new_id()), operator=True),
        Asker(secret_hash=b"\\';--"),
        Asker(email="o'hara\\', true); DROP TABLE jobs; --@example.org"),
        Asker(),
    ],
)
async def test_a_transaction_names_who_asks_and_the_next_one_knows_nothing_of_it(people: People, who: Asker) -> None:
    async with people.plane.db.straight(who) as asked:
        assert await _named(asked) == who.named
    async with people.plane.db.straight(Asker()) as asked:
        assert await _named(asked) == dict.fromkeys(NAMES, "")


async def test_it_shows_what_row_level_security_shows(people: People) -> None:
    mine, other = await people.owner(), await people.owner()
    async with people.plane.db.straight(Asker(org=mine.org, person=mine.person)) as asked:
        assert [row["id"] for row in await asked.fetch("SELECT id FROM organisations")] == [mine.org]
        assert await asked.fetch("SELECT FROM members WHERE org_id = $1", other.org) == []
    async with people.plane.db.straight(Asker()) as asked:
        assert await asked.fetch("SELECT FROM organisations") == []


RENAME = "UPDATE organisations SET name = 'theirs' WHERE id = $1"


async def test_what_fails_leaves_nothing(people: People) -> None:
    who = await people.owner()
    mine = Asker(org=who.org, person=who.person)
    begun = asyncio.Event()

    async def fails() -> None:
        async with people.plane.db.straight(mine) as asked:
            await asked.execute(RENAME, who.org)
            raise ZeroDivisionError

    async def hangs() -> None:
        async with people.plane.db.straight(mine) as asked:
            await asked.execute(RENAME, who.org)
            begun.set()
            await asked.execute("SELECT pg_sleep(30)")

    with pytest.raises(ZeroDivisionError):
        await fails()
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(hangs())
        await begun.wait()
        hanging.cancel()
    async with people.plane.db.straight(mine) as asked:
        assert await asked.fetchval("SELECT name FROM organisations") == "Ours"


async def test_who_finds_a_connection_cut_gets_another(people: People) -> None:
    async with people.plane.db.straight(Asker()) as asked:
        pid = await asked.fetchval("SELECT pg_backend_pid()")
    for ask in (_by_transaction, _by_statement):
        await people.databases.sql(f"SELECT pg_terminate_backend({pid})")
        pid = await ask(people.plane.db)


async def _by_transaction(on: Database) -> int:
    async with on.straight(Asker()) as asked:
        return int(await asked.fetchval("SELECT pg_backend_pid()"))


async def _by_statement(on: Database) -> int:
    row = await on.one("SELECT pg_backend_pid() AS pid")
    assert row is not None
    return int(row["pid"])


async def test_who_is_cut_in_the_middle_is_told_to_come_again(people: People) -> None:
    async def cut() -> None:
        async with people.plane.db.straight(Asker()) as asked:
            pid = await asked.fetchval("SELECT pg_backend_pid()")
            await people.databases.sql(f"SELECT pg_terminate_backend({pid})")
            await asked.fetchval("SELECT 1")

    with pytest.raises(Exception, match=r"terminating|closed|released|another operation") as failed:
        await cut()
    assert db.is_away(failed.value)
    assert await _by_transaction(people.plane.db)


async def test_a_table_that_is_changed_under_a_prepared_statement_is_no_failure_of_ours(people: People) -> None:
    sql = people.databases.sql
    await sql("CREATE TABLE changing (a integer); GRANT SELECT ON changing TO seedlift_api")
    await sql("INSERT INTO changing VALUES (1)")
    own = Database(people.plane.settings.database_url, people.plane.settings.work_database_url)

    async def ask() -> object:
        async with own.straight(Asker()) as asked:
            return await asked.fetchval("SELECT * FROM changing")

    try:
        assert await ask() == 1
        await sql("ALTER TABLE changing ALTER a TYPE text")
        with pytest.raises(Exception, match="cached") as failed:
            await ask()
        assert db.is_away(failed.value)
        assert await ask() == "1"
    finally:
        await own.close()
        await sql("DROP TABLE changing")

"""An audit log of its own for a test that damages it: a database beside the others, and a plane that stands on it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from control import migrate
from control.audit import service as audit
from control.audit.service import Actor
from control.audit.verify import Verified, verify
from control.db import Database
from control.loops import seal
from control.plane import Plane
from tests.support.servers import Databases
from wire.clock import utcnow
from wire.ids import new_id

PAST_TRIGGERS = "SET session_replication_role = replica; "
"""What only a superuser may say: no trigger fires."""


class Logbook(Struct, frozen=True):
    plane: Plane
    databases: Databases
    name: str
    url: str

    async def write(self, rows: int) -> None:
        async with self.plane.working() as tx:
            for n in range(rows):
                await audit.record(tx, Actor(name="person:x", org=new_id()), "thing.done", f"thing:{n}", utcnow(), n=n)

    async def seal(self) -> None:
        while await seal.step(self.plane, utcnow()):
            pass

    async def damage(self, statements: str) -> None:
        await self.sql(PAST_TRIGGERS + statements)

    async def sql(self, statements: str) -> str:
        """As superuser."""
        return await self.databases.sql(statements, database=self.name)

    async def verify(self, expected: str | None = None) -> Verified:
        return await verify(self.plane.db, expected)


async def template(databases: Databases) -> str:
    """An empty log, to copy: copying takes a tenth of migrating."""
    name = f"log_{secrets.token_hex(4)}"
    await databases.sql(f"CREATE DATABASE {name} OWNER seedlift_owner", database="postgres")
    await asyncio.to_thread(migrate.upgrade, databases.owner.rpartition("/")[0] + f"/{name}")
    return name


@asynccontextmanager
async def logbook(plane: Plane, databases: Databases, copy_of: str) -> AsyncIterator[Logbook]:
    name = f"log_{secrets.token_hex(4)}"
    await databases.sql(f"CREATE DATABASE {name} TEMPLATE {copy_of} OWNER seedlift_owner", database="postgres")
    api, work = (url.rpartition("/")[0] + f"/{name}" for url in (databases.api, databases.work))
    db = Database(api, work)
    try:
        yield Logbook(msgspec.structs.replace(plane, db=db), databases, name, work)
    finally:
        await db.close()
        await databases.sql(f"DROP DATABASE {name}", database="postgres")

"""Real servers for tests: PostgreSQL and the store, started once a session by the same code that `up` uses."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from stack import postgres as pg
from stack import process, s3
from tests.support.folders import open_folder
from tests.support.ports import free_ports

ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


class Databases(Struct, frozen=True, kw_only=True):
    """URLs of the three roles on an empty database. `owner` makes tables, the others get what it grants."""

    server: pg.Postgres
    owner: str
    api: str
    work: str

    async def sql(self, statements: str, database: str = pg.DATABASE) -> str:
        """As superuser, for what a test must arrange or look at from outside."""
        code, said = await pg.psql(self.server, statements, database=database)
        assert code == 0, said
        return said


class Store(Struct, frozen=True, kw_only=True):
    """An S3 store without buckets."""

    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def postgres(servers_dir: Path) -> AsyncIterator[Databases]:
    server = pg.Postgres(
        dir=servers_dir / "postgres",
        port=free_ports(1)[0],
        passwords=pg.Passwords(*(secrets.token_urlsafe(16) for _ in range(4))),
        env=ENV,
        durable=False,
    )
    account = await pg.prepare(server)
    child = await process.start(pg.command(server, account, servers_dir / "logs" / "postgres.log"))
    try:
        await pg.until_up(server, child)
        yield Databases(server=server, owner=server.url(pg.OWNER), api=server.url(pg.API), work=server.url(pg.WORK))
    finally:
        await process.stop(child)


@pytest.fixture(scope="session")
async def store(servers_dir: Path) -> AsyncIterator[Store]:
    port, *internal = free_ports(1 + len(s3.INTERNAL))
    server = s3.Store(
        dir=servers_dir / "store",
        port=port,
        internal=dict(zip(s3.INTERNAL, internal, strict=True)),
        access_key=secrets.token_hex(10),
        secret_key=secrets.token_urlsafe(30),
        env=ENV,
    )
    s3.prepare(server)
    child = await process.start(s3.command(server, servers_dir / "logs" / "store.log"))
    try:
        await s3.until_up(server, child)
        yield Store(url=f"http://127.0.0.1:{port}", access_key=server.access_key, secret_key=server.secret_key)
    finally:
        await process.kill(child)  # it takes five seconds to stop, and nobody wants its files

"""PostgreSQL and the store as `up` starts them: who may do what, and what is open."""

import io
import os
import secrets
import shutil
from pathlib import Path

import asyncpg
import pytest
from minio import Minio
from minio.error import S3Error

from stack import postgres as pg
from stack import process
from stack.paths import postgres_bin
from tests.support.ports import free_ports
from tests.support.servers import ENV, Databases, Store


async def test_the_roles_of_the_programs_are_nothing_special(postgres: Databases) -> None:
    rows = await postgres.sql(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'seedlift\\_%' AND rolname <> 'seedlift_super' AND rolcanlogin"
        " AND NOT (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication) ORDER BY 1"
    )
    assert rows.split() == [pg.API, pg.OWNER, pg.WORK]


async def test_every_role_connects_with_its_password_and_only_the_owner_makes_tables(postgres: Databases) -> None:
    for url, may_create in ((postgres.owner, True), (postgres.api, False), (postgres.work, False)):
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            if may_create:
                await connection.execute("CREATE TABLE mine (n int); DROP TABLE mine")
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("CREATE TABLE mine (n int)")
        finally:
            await connection.close()


async def test_a_wrong_password_is_refused_even_on_loopback(postgres: Databases) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host="127.0.0.1", port=postgres.server.port, user=pg.SUPERUSER, password="wrong", database="postgres"
        )


def client(store: Store, secret_key: str | None = None) -> Minio:
    return Minio(
        store.url.removeprefix("http://"),
        access_key=store.access_key,
        secret_key=secret_key or store.secret_key,
        secure=False,
        region=store.region,
    )


async def test_the_store_takes_and_gives_bytes_in_more_buckets_than_its_default_would(store: Store) -> None:
    minio = client(store)
    for name in ("first-bucket", "second-bucket", "third-bucket"):
        minio.make_bucket(name)
        minio.put_object(name, "a/b", io.BytesIO(b"content"), 7)
        answer = minio.get_object(name, "a/b")
        assert answer.read() == b"content"
        answer.close()
        answer.release_conn()


async def test_the_store_refuses_a_wrong_key(store: Store) -> None:
    with pytest.raises(S3Error):
        client(store, secret_key="wrong" * 8).list_buckets()


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root PostgreSQL runs as another account")
async def test_from_roots_private_folder_the_account_gets_a_copy_of_the_programs(
    servers_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, private = postgres_bin().parents[1], tmp_path / "private"
    for each in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(each, private / each.name)
    private.chmod(0o700)
    monkeypatch.setattr("stack.postgres.postgres_bin", lambda: private / package.name / "pginstall" / "bin")
    passwords = pg.Passwords(*(secrets.token_urlsafe(16) for _ in range(4)))
    folder = servers_dir / "copied"
    folder.mkdir(mode=0o711)
    before = os.umask(0o077)  # as under `up`
    try:
        server = pg.Postgres(
            dir=folder / "postgres", port=free_ports(1)[0], passwords=passwords, env=ENV, durable=False
        )
        account = await pg.prepare(server)
    finally:
        os.umask(before)
    assert server.copied in server.bin.parents
    child = await process.start(pg.command(server, account, folder / "postgres.log"))
    try:
        await pg.until_up(server, child)
    finally:
        await process.stop(child)

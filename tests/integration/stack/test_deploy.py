"""A deployment on several machines, from what `seedlift fleet init` makes: its own servers, programs and agent."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from stack import postgres as pg
from stack import process
from stack.environment import clean
from stack.paths import program
from stack.probe import answers, connects, until_ready
from stack.process import Child, Command
from tests.support.member import signed_up
from tests.support.ports import free_ports
from tests.support.servers import ENV, Store
from tests.support.swarm import HOST, swarm
from wire.units import MIB

START_S = 120
SIZES = {"a.bin": 9 * MIB, "b.txt": 100}


class Site(Struct, frozen=True):
    """One machine that has everything: `out` is the operator's folder, `etc` what was copied."""

    out: Path
    etc: Path
    api_port: int
    env: dict[str, str]


def read_env(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


async def ran(*arguments: str, env: Mapping[str, str], stdin: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env={**clean(), "PYTHONPATH": os.pathsep.join(sys.path), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(stdin)
    assert process.returncode == 0, said.decode()
    return said.decode().strip()


async def init(out: Path, *options: str, env: Mapping[str, str] | None = None) -> str:
    return await ran("cli", "fleet", "init", "--out", str(out), *options, env=env or {})


@asynccontextmanager
async def child(name: str, argv: list[str], env: Mapping[str, str], folder: Path) -> AsyncIterator[Child]:
    log = folder / f"{name}.log"
    environ = {**clean(), "PYTHONPATH": os.pathsep.join(sys.path), **env}
    running = await process.start(Command(name=name, argv=argv, env=environ, log=log, cwd=folder, stop_s=20))
    try:
        yield running
    finally:
        await process.stop(running)


@asynccontextmanager
async def database(folder: Path, port: int, roles: Path) -> AsyncIterator[None]:
    """An empty server, and what `postgres.sql` says of it."""
    server = pg.Postgres(dir=folder, port=port, passwords=pg.Passwords("super", "a", "b", "c"), env=ENV, durable=False)
    account = await pg.prepare(server)
    running = await process.start(pg.command(server, account, folder.parent / "postgres.log"))
    try:
        await pg.until_up(server, running)
        code, said = await pg.psql(server, roles.read_text(), database="postgres")
        assert code == 0, said
        yield
    finally:
        await process.stop(running)


@pytest.fixture
async def site(servers_dir: Path, store: Store) -> AsyncIterator[Site]:
    folder = servers_dir / "deployment"
    folder.mkdir(mode=0o711)
    out, etc = folder / "out", folder / "etc"
    api, fleet, nats, database_port, monitor = free_ports(5)
    said = await init(
        out,
        "--api", f"http://127.0.0.1:{api}", "--fleet", f"127.0.0.1:{fleet}", "--nats", f"127.0.0.1:{nats}",
        "--store", store.url, "--database", f"127.0.0.1:{database_port}", "--etc", str(etc),
        "--nats-dir", str(folder / "nats"), "--nats-monitor-port", str(monitor),
        env={"SEEDLIFT_STORE_ACCESS_KEY": store.access_key, "SEEDLIFT_STORE_SECRET_KEY": store.secret_key},
    )  # fmt: skip
    assert str(out) in said
    etc.mkdir(mode=0o700)
    for made in ("control", "nats"):
        shutil.copytree(out / made, etc, dirs_exist_ok=True)
    env = read_env(etc / "control.env") | {
        "SEEDLIFT_PORT": str(api),
        "SEEDLIFT_STORE_BUCKET": "deployed",
        "SEEDLIFT_POOL_ALLOW": f"default={HOST}/32",
    }
    config = [str(program("nats-server")), "-c", str(etc / "nats.conf")]
    async with database(folder / "postgres", database_port, out / "postgres.sql"):
        await ran("control", "db-upgrade", env=read_env(out / "owner.env"))
        await ran("control", "bootstrap", env=env, stdin=(out / "bootstrap.json").read_bytes())
        async with AsyncExitStack() as programs:
            bus = await programs.enter_async_context(child("nats", config, {}, folder))
            await until_ready(bus, lambda: answers("127.0.0.1", monitor, "/healthz"), within_s=START_S)
            for name in ("work", "api"):
                argv = [sys.executable, "-m", "control", name]
                running = await programs.enter_async_context(child(name, argv, env, folder))
            await until_ready(running, lambda: connects("127.0.0.1", fleet), within_s=START_S)
            await until_ready(running, lambda: answers("127.0.0.1", api, "/readyz"), within_s=START_S)
            yield Site(out, etc, api, env)


async def test_what_was_made_takes_a_job_to_its_end(site: Site, tmp_path: Path) -> None:
    operator, folder = read_env(site.out / "operator.env"), tmp_path / "agent"
    token = await ran("cli", "fleet", "token", "--name", "rack-1", env=operator)
    await ran("cli", "agent", "enrol", "--token", token, "--name", "rack-1", "--dir", str(folder), env={})
    agent = {"SEEDLIFT_AGENT_DIR": str(folder), "SEEDLIFT_AGENT_LISTEN": "127.0.0.1:0"}
    async with child("agent", [sys.executable, "-m", "agent", "run"], agent, tmp_path):
        async with swarm(tmp_path, SIZES) as source, signed_up(operator["SEEDLIFT_URL"]) as member:
            job = await member.add_torrent(source.torrent)
            await member.until(job["id"], "completed")
            listed = await ran("cli", "fleet", "show", "rack-1", env=operator)
            assert "ready" in listed


async def test_said_again_it_changes_nothing_but_what_grows_old(tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = ["--api=https://a.example.org", "--fleet=f.example.org", "--nats=n.example.org", "--database=db"]
    await init(out, *where, "--store=https://s3.example.org")
    edited = out / "control" / "control.env"
    edited.write_text(edited.read_text() + "SEEDLIFT_HOST=::1\n")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    (out / "secrets" / "fleet.pem").unlink()
    await init(out, "--fleet", "f.example.org:8001")
    changed = {str(file.relative_to(out)) for file, was in before.items() if file.read_bytes() != was}
    assert changed == {f"{folder}/fleet.{kind}" for folder in ("secrets", "control") for kind in ("pem", "key")}
    assert {file.stat().st_mode & 0o077 for file in out.rglob("*")} == {0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--api, --fleet, --nats, --store, --database missing"),
        (["--api=ftp://a"], "is no address like"),
        (["--fleet=f:x"], "."),
        (["--nats=a/b"], "is no HOST or HOST:PORT"),
        (["--database=d b"], "cannot be written into a configuration"),
        (["--etc=/a;b"], "cannot be written into a configuration"),
    ],
)
async def test_what_cannot_be_made_is_said_in_a_sentence(tmp_path: Path, options: list[str], said: str) -> None:
    whole = {"--api": "https://a", "--fleet": "f", "--nats": "n", "--store": "https://s", "--database": "d"}
    given = whole | dict(option.split("=", 1) for option in options) if options else {}
    with pytest.raises(AssertionError, match="seedlift: ") as refused:
        await init(tmp_path / "out", *(f"{name}={value}" for name, value in given.items()))
    assert said in str(refused.value)
    assert "Traceback" not in str(refused.value)


async def test_another_folder_or_another_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    where = ["--api=https://a", "--fleet=f", "--nats=n", "--store=https://s", "--database=d"]
    with pytest.raises(AssertionError, match="is not empty"):
        await init(tmp_path, *where)
    await init(tmp_path / "out", *where)
    with pytest.raises(AssertionError, match="was made for another --nats"):
        await init(tmp_path / "out", "--nats=elsewhere")

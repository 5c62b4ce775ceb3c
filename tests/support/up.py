"""A whole stack for system tests and benches: `seedlift up` as users run it, and ways to find and kill its children."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from stack.process import tied_to_us
from tests.support.ports import free_row
from tests.support.proxy import StoreProxy
from tests.support.swarm import HOST

READY_S = 90
"""A first start on a busy machine; far above what it takes, since nothing is measured here."""
STOP_S = 40
SAID_LAST = 12_000
"""Characters of a log that are shown with a failure."""
ALLOW = f"control.pool_allow=default={HOST}/32"
"""Where our swarms are, which else only the demo's pool may contact."""
PATIENCE = ("control.time_scale=4", "control.tick_s=20")
"""Leases and offers expire four times faster, so that a test need not wait for the real ones; loops look as often."""
ROOMY = "UPDATE plans SET is_default = false; UPDATE plans SET is_default = true WHERE name = 'house'"
"""Who tells a story in here is not there to try it. Two statements: there is never a second default plan."""
CHILDREN = {
    "postgres": "postgres",
    "nats": "nats-server",
    "s3": "weed",
    "api": "control api",
    "work": "control work",
    "agent": "agent run",
}
"""What a child's command line contains."""


class Ready(Struct, frozen=True):
    api: str
    fleet: str
    nats: str
    store: str
    data_dir: str
    admin_email: str
    admin_password: str | None
    demo_magnet: str | None
    demo_torrent: str | None


class Up:
    def __init__(self, ready: Ready, process: asyncio.subprocess.Process, log: Path) -> None:
        self.ready = ready
        self.process = process
        self.log = log

    @property
    def api(self) -> str:
        return self.ready.api

    @property
    def data(self) -> Path:
        return Path(self.ready.data_dir)

    @property
    def port(self) -> int:
        return int(self.api.rpartition(":")[2])

    @property
    def store(self) -> tuple[str, int]:
        host, _, port = self.ready.store.partition("//")[2].rpartition(":")
        return host, int(port)

    def pids(self, name: str) -> list[int]:
        """Children of `up` whose command line says so, oldest first."""
        return sorted(pid for pid in _children_of(self.process.pid) if CHILDREN[name] in _command_of(pid))

    def kill(self, name: str) -> list[int]:
        """`kill -9`, as somebody's finger slips."""
        pids = self.pids(name)
        assert pids, f"no child {name} runs"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def said_last(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-SAID_LAST:]

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """As the role that sees every organisation."""
        connection = await asyncpg.connect(**self._database())
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def pool(self, size: int) -> AsyncIterator[asyncpg.Pool]:
        """The same, several at once."""
        async with asyncpg.create_pool(**self._database(), min_size=size, max_size=size) as pool:
            yield pool

    def _database(self) -> dict[str, Any]:
        kept = json.loads((self.data / "secrets" / "kept.json").read_bytes())
        password = kept["postgres"]["work"]
        server = {"host": "127.0.0.1", "port": self.port + 4, "database": "seedlift"}
        return {**server, "user": "seedlift_work", "password": password}

    async def stop(self, *, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


class Proxied(Struct, frozen=True):
    """A stack, and what stands before its store."""

    stack: Up
    proxy: StoreProxy


def _children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


@asynccontextmanager
async def running(
    folder: Path,
    *args: str,
    sets: Sequence[str] = (),
    port: int | None = None,
    demo: bool = False,
    prefix: Sequence[str] = (),
) -> AsyncIterator[Up]:
    """`seedlift up` until the block ends; stopped politely, then not."""
    up = await begin(folder, *args, sets=sets, port=port, demo=demo, prefix=prefix)
    try:
        yield up
    except BaseException:
        print(up.said_last())  # pytest shows it with the failure
        raise
    finally:
        try:
            await up.stop()
        except TimeoutError:
            up.process.kill()
            await up.process.wait()


async def begin(
    folder: Path,
    *args: str,
    sets: Sequence[str] = (),
    port: int | None = None,
    demo: bool = False,
    prefix: Sequence[str] = (),
) -> Up:
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    ready_file, log = folder / "ready.json", folder / "up.log"
    ready_file.unlink(missing_ok=True)
    chosen = [] if port is None and (folder / "data" / "ports.json").exists() else ["--port", str(port or free_row())]
    command = [*prefix, sys.executable, "-m", "cli", "up", "--data", str(folder / "data"), *chosen]
    command += ["--ready-file", str(ready_file), *(["--demo"] if demo else []), *args]
    for setting in sets if demo else (ALLOW, *sets):  # what comes later holds
        command += ["--set", setting]
    with log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=said,
            stderr=said,
            stdin=asyncio.subprocess.DEVNULL,
            preexec_fn=tied_to_us(signal.SIGTERM),  # who kills a bench need not look for its stack
        )
    try:
        async with asyncio.timeout(READY_S):
            while not ready_file.exists():
                if process.returncode is not None:
                    raise RuntimeError(f"up ended with {process.returncode}:\n{log.read_text()[-SAID_LAST:]}")
                await asyncio.sleep(0.05)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    up = Up(msgspec.json.decode(ready_file.read_bytes(), type=Ready), process, log)
    if not prefix:  # in another network's namespace only those who are in it reach the database
        async with up.database() as database:
            await database.execute(ROOMY)
    return up

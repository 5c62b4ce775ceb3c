"""`up` from end to end with real servers; control plane and agent are stand-ins, since this is about supervision."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from stack.paths import ROOT
from tests.integration.stack.test_supervise import is_alive, until
from tests.support.ports import free_row

WAIT_S = 60.0
STANDINS = ROOT / "tests" / "support" / "standins"
PATH = os.pathsep.join(str(path) for path in (STANDINS, ROOT, ROOT / "apps", ROOT / "packages"))


class Run(Struct, frozen=True):
    process: asyncio.subprocess.Process
    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "ready.json").read_text()))

    @property
    def said(self) -> str:
        return (self.folder / "up.log").read_text()

    def children(self) -> dict[str, int]:
        """Pids by what their command line begins with."""
        ps = ["ps", "-ww", "--ppid", str(self.process.pid), "-o", "pid=,args="]
        listed = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
        names = ("postgres -D", "nats-server", "weed", "control api", "control work", "agent run")
        lines = [line.split(maxsplit=1) for line in listed.splitlines()]
        return {name: int(pid) for pid, args in lines for name in names if name in args}


async def begin(folder: Path, *arguments: str, data: Path | None = None) -> Run:
    (folder / "ready.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "cli", "up", "--data", str(data or folder / "data")]
    command += ["--ready-file", str(folder / "ready.json"), *arguments]
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env={"PATH": os.environ["PATH"], "PYTHONPATH": PATH}, stdout=log, stderr=log
        )
    return Run(process, folder)


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[Run]:
    run = await begin(folder, *arguments)
    try:
        async with asyncio.timeout(WAIT_S):
            while not (folder / "ready.json").exists():
                assert run.process.returncode is None, run.said
                await asyncio.sleep(0.05)
        yield run
    finally:
        if run.process.returncode is None:
            run.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(WAIT_S):
                await run.process.wait()


async def refused(folder: Path, *arguments: str, data: Path | None = None) -> str:
    run = await begin(folder, *arguments, data=data)
    async with asyncio.timeout(WAIT_S):
        assert await run.process.wait() == 1
    assert "Traceback" not in run.said
    return run.said


@pytest.fixture(scope="module")
async def up(servers_dir: Path) -> AsyncIterator[Run]:
    """Started twice: the second start is the one that stays."""
    folder = servers_dir / "up"
    folder.mkdir(mode=0o711)
    async with running(folder, "--port", str(free_row())) as first:
        facts = first.facts
        assert facts["admin_password"] in first.said
        assert (folder / "ready.json").stat().st_mode & 0o777 == 0o600
    assert first.process.returncode == 0
    assert all(not is_alive(pid) for pid in first.children().values())
    async with running(folder) as second:
        assert second.facts == {**facts, "admin_password": None}
        assert facts["admin_password"] not in second.said
        yield second


async def test_the_ready_file_has_what_was_promised(up: Run) -> None:
    assert set(up.facts) == {
        "api", "fleet", "nats", "store", "data_dir", "admin_email", "admin_password", "demo_magnet", "demo_torrent",
    }  # fmt: skip
    assert up.facts["data_dir"] == str(up.folder / "data")


async def test_each_killed_child_comes_back(up: Run) -> None:
    before = up.children()
    assert len(before) == 6
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    await until(lambda: len(now := up.children()) == 6 and not set(now.values()) & set(before.values()), "all again")


async def test_a_second_instance_on_the_same_data_is_refused(up: Run, tmp_path: Path) -> None:
    said = await refused(tmp_path, data=up.folder / "data")
    assert f"another instance (process {up.process.pid})" in said


async def test_taken_ports_are_refused_by_name(up: Run, tmp_path: Path) -> None:
    port = up.facts["api"].rpartition(":")[2]
    said = await refused(tmp_path, "--port", port)
    assert f"{port} (the public listener, on 127.0.0.1)" in said
    assert "PostgreSQL" in said


async def test_two_stacks_run_side_by_side(up: Run, servers_dir: Path) -> None:
    folder = servers_dir / "beside"
    folder.mkdir(mode=0o711)
    async with running(folder, "--port", str(free_row()), "--agents", "2") as other:
        assert other.facts["api"] != up.facts["api"]
        assert len([name for name in other.said.splitlines() if name.startswith("agent-2: running")]) == 1


async def test_killed_while_it_first_started_it_begins_again_and_nothing_is_left_running(servers_dir: Path) -> None:
    folder = servers_dir / "half"
    folder.mkdir(mode=0o711)
    port = str(free_row())
    run = await begin(folder, "--port", port)
    await until(lambda: "nats-server" in run.children(), "its first child")
    children = run.children()
    run.process.kill()
    await run.process.wait()
    await until(lambda: not any(is_alive(pid) for pid in children.values()), "the end of its children")
    async with running(folder) as again:
        assert again.facts["api"].endswith(port)
        assert again.facts["admin_password"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root PostgreSQL runs as another account")
async def test_as_root_a_private_folder_on_the_way_is_refused_and_stays_private(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    said = await refused(private, "--port", str(free_row()))
    assert "may not enter" in said
    assert private.stat().st_mode & 0o777 == 0o700

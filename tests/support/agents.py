"""Agents that `up` does not watch: enrolled and run by hand, as on another machine, so that killing one is for good."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec

from agent import identity
from stack.environment import clean
from tests.support.tls import TRUSTED
from tests.support.up import Up
from wire.version import VERSION

READY_S = 30
STOP_S = 35
GONE_S = 60
"""Longer than a lease, and until it is noticed."""


class Hand:
    """One agent, and its life."""

    def __init__(
        self, name: str, folder: Path, env: Mapping[str, str], command: Sequence[str] = ("-m", "agent", "run")
    ) -> None:
        self.name = name
        self.folder = folder
        self.process: asyncio.subprocess.Process | None = None
        self._env = env
        self._command = command

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    async def start(self) -> None:
        with self.log.open("ab") as said:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self._command, env=dict(self._env), stdout=said, stderr=said
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


def operator(stack: Up) -> httpx.AsyncClient:
    """The operator's client of the public API."""
    known = msgspec.json.decode((stack.data / "operator.json").read_bytes(), type=dict[str, str])
    headers = {"Authorization": f"Bearer {known['api_key']}"}
    return httpx.AsyncClient(base_url=known["url"], headers=headers, verify=TRUSTED, timeout=20)


async def token(stack: Up, name: str) -> str:
    async with operator(stack) as http:
        answer = await http.post("/api/v1/fleet/tokens", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


async def listed(stack: Up) -> dict[str, dict[str, object]]:
    async with operator(stack) as http:
        answer = await http.get("/api/v1/fleet/agents")
        answer.raise_for_status()
        return {agent["name"]: agent for agent in answer.json()["items"]}


async def enrol(stack: Up, name: str, folder: Path, **settings: object) -> Hand:
    env = clean() | {
        "SEEDLIFT_AGENT_DIR": str(folder),
        "SEEDLIFT_AGENT_LISTEN": "127.0.0.1:0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    await identity.enrol(await token(stack, name), name, VERSION, folder)  # as `agent enrol` does, which `up` runs
    return Hand(name, folder, env | {f"SEEDLIFT_{key.upper()}": str(value) for key, value in settings.items()})


@asynccontextmanager
async def running(stack: Up, name: str, folder: Path, **settings: object) -> AsyncIterator[Hand]:
    hand = await enrol(stack, name, folder, **settings)
    await hand.start()
    try:
        await until_state(stack, name, "ready")
        yield hand
    finally:
        if hand.process is not None and hand.process.returncode is None:
            hand.kill()
            await hand.process.wait()


async def until_state(stack: Up, name: str, state: str, limit_s: float = READY_S) -> None:
    async with asyncio.timeout(limit_s):
        while (await listed(stack)).get(name, {}).get("state") != state:
            await asyncio.sleep(0.25)


async def until_none_is_left(stack: Up, limit_s: float = GONE_S) -> None:
    """Of those that were killed, their leases as well."""
    async with asyncio.timeout(limit_s):
        while any(agent["state"] == "ready" for agent in (await listed(stack)).values()):
            await asyncio.sleep(0.5)


async def until_boot_after(stack: Up, name: str, boot: object, limit_s: float = READY_S) -> None:
    """A new life of it has been heard of."""
    async with asyncio.timeout(limit_s):
        while (await listed(stack))[name]["boot"] in (boot, None):
            await asyncio.sleep(0.1)

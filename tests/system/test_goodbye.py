"""SIGTERM ends an agent within its limit, in a state that its next life goes on from, whatever else hangs."""

import asyncio
import os
import signal
from pathlib import Path

from tests.support import agents, up
from tests.support.member import midway, signed_up
from tests.support.swarm import swarm
from tests.support.until import until
from tests.system.test_survival import RATE, SIZES, all_there_once

LIMIT_S = 30


async def test_an_agent_ends_though_the_control_plane_and_the_store_hang(bare: up.Up, tmp_path: Path) -> None:
    async with agents.running(bare, "one", tmp_path / "one", time_scale=4) as one:
        async with swarm(tmp_path, SIZES, rate_bytes=RATE // 4) as slow, signed_up(bare.api) as member:
            job = await member.add_torrent(slow.torrent)
            await midway(member, job["id"])
            hung = [*bare.pids("api"), *bare.pids("s3")]
            try:
                for pid in hung:
                    os.kill(pid, signal.SIGSTOP)
                async with asyncio.timeout(LIMIT_S):
                    assert await one.stop() == 0
            finally:
                for pid in hung:
                    os.kill(pid, signal.SIGCONT)
            (journal,) = one.folder.glob("transfers/*/journal")
            assert journal.stat().st_size
            await one.start()
            await member.until(job["id"], "completed")
            await all_there_once(bare, member, job["id"], slow)
            left = [one.folder / "transfers", one.folder / "trash"]
            await until(lambda: not any(any(folder.iterdir()) for folder in left))

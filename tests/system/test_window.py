"""A torrent larger than its agent's disk: it passes through a window, whatever happens on its way."""

import asyncio
from pathlib import Path

from agent.disk import occupied_below
from tests.support import agents, up
from tests.support.member import Member, midway, signed_up
from tests.support.swarm import swarm
from tests.support.up import Proxied
from tests.system.test_survival import all_there_once
from wire.units import KIB, MIB

BUDGET = 48 * MIB
"""Less than either torrent, and enough for two windows at once."""
SLACK = 4 * MIB
"""Journals, and what the filesystem keeps of files that are all holes."""
SIZES = {
    "big.bin": 41 * MIB + 7,
    "middle.bin": 19 * MIB + 1,
    "small/a": 3 * KIB,
    "small/b": 0,
    "small/c": 70 * KIB,
    "z.bin": 9 * MIB,
}
RATE = 16 * MIB


class Watch:
    """The most that a folder had, looked at again and again."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "transfers"
        self.peak = 0

    async def look(self) -> None:
        while True:
            self.peak = max(self.peak, await asyncio.to_thread(self.now))
            await asyncio.sleep(0.02)

    def now(self) -> int:
        return occupied_below(self._folder)


async def test_two_are_stored_whole_through_a_disk_that_is_smaller_than_either(bare: up.Up, tmp_path: Path) -> None:
    """Small files, pads and pieces that two files share included; killed on their way, they go on."""
    home = tmp_path / "agent"
    async with (
        agents.running(bare, "narrow", home, agent_disk_bytes=BUDGET) as agent,
        swarm(tmp_path, SIZES, rate_bytes=RATE) as one,
        swarm(tmp_path, SIZES, rate_bytes=RATE, kind="hybrid", seed=2) as other,
        signed_up(bare.api) as member,
        asyncio.TaskGroup() as group,
    ):
        watch = Watch(home)
        watching = group.create_task(watch.look())
        jobs = [(await member.add_torrent(source.torrent), source) for source in (one, other)]
        await midway(member, jobs[0][0]["id"], share=0.4)
        agent.kill()
        await agent.start()
        for job, _ in jobs:
            await member.until(job["id"], "completed")
        for job, source in jobs:
            await all_there_once(bare, member, job["id"], source)
        watching.cancel()
        assert 0 < watch.peak <= BUDGET + SLACK
        await until_empty(home)


async def test_a_store_that_stands_still_stops_the_download_and_not_the_disk(proxied: Proxied, tmp_path: Path) -> None:
    stack, proxy, home = proxied.stack, proxied.proxy, tmp_path / "agent"
    async with (
        agents.running(stack, "narrow", home, agent_disk_bytes=BUDGET),
        swarm(tmp_path, SIZES) as source,
        signed_up(stack.api) as member,
    ):
        watch = Watch(home)
        proxy.up.rate = 1.0
        try:
            job = await member.add_torrent(source.torrent)
            await still(member, job["id"])
            assert BUDGET / 2 < watch.now() <= BUDGET + SLACK
        finally:
            proxy.up.rate = None
        proxy.cut()
        await member.until(job["id"], "completed")
        await all_there_once(stack, member, job["id"], source)


async def test_what_fits_no_window_fails_with_its_reason_or_goes_to_an_agent_that_has_room(
    proxied: Proxied, tmp_path: Path
) -> None:
    stack = proxied.stack
    async with (
        agents.running(stack, "tiny", tmp_path / "tiny", agent_disk_bytes=MIB),
        swarm(tmp_path, {"big.bin": 20 * MIB}) as source,
        signed_up(stack.api) as member,
    ):
        job = await member.add_torrent(source.torrent)
        await refused(member, job["id"])
        async with agents.running(stack, "roomy", tmp_path / "roomy"):
            await member.until(job["id"], "completed")


async def still(member: Member, job: str) -> None:
    """Until a download that had begun gets no further."""
    async with asyncio.timeout(60), member.hearing(job) as heard:
        before, same = 0, 0
        async for said in heard:
            rates = said.data.get("rates") or said.data.get("progress") or {}
            down = rates.get("down_bytes", 0)
            same = same + 1 if down and down == before else 0
            before = down
            if same == 3:
                return


async def refused(member: Member, job: str) -> None:
    """Until an agent has said that it cannot."""
    async with asyncio.timeout(60):
        while not any(event["why"] == "no_room" for event in await member.timeline(job)):
            await asyncio.sleep(0.1)


async def until_empty(home: Path) -> None:
    """Nothing is left on the agent's disk."""
    async with asyncio.timeout(30):
        while [*(home / "transfers").iterdir(), *(home / "trash").iterdir()]:
            await asyncio.sleep(0.1)

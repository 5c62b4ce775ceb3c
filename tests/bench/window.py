"""Bench `window`: a torrent through a disk budget far smaller than itself, beside the same agent without one.

The seeder's own limiter holds the rate. The disk is looked at from outside, by the blocks that the agent's folders
have. What the agent gives away is counted by a leecher that knows nobody else; a plain agent gives to the same leecher,
so that the count is known to count. Then a swarm of leechers alone, which give first to who gives to them.
"""

import asyncio
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from tests.bench.pipeline import completed, emptied
from tests.support import agents, report, up
from tests.support.folders import open_folder
from tests.support.leechers import leechers
from tests.support.member import Member, signed_up
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from wire.units import GIB, MIB

RATE = 64 * MIB
BUDGET = 128 * MIB
ROUNDS = 3
LONG_BYTES = 20 * GIB
LOOK_S = 0.02
GIVEN_BYTES = 128 * MIB
LEECHERS = 4
LEECH_S = 300
ALLOW = "control.pool_allow=default=127.77.0.0/16"


class Run(Struct, frozen=True):
    took_s: float
    peak_bytes: int


class Disk:
    """The most that a folder had, in blocks, since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._peak = 0

    async def watch(self) -> None:
        while True:
            self._peak = max(self._peak, await asyncio.to_thread(self._now))
            await asyncio.sleep(LOOK_S)

    def peak(self) -> int:
        peak, self._peak = self._peak, 0
        return peak

    def _now(self) -> int:
        total = 0
        for parent, _, names in os.walk(self._folder):
            for name in names:
                try:
                    total += os.stat(os.path.join(parent, name)).st_blocks * 512
                except FileNotFoundError:
                    continue
        return total


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Disk]:
    disk = Disk(folder)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(disk.watch())
        yield disk
        watching.cancel()


async def run(stack: up.Up, source: Swarm, home: Path, **settings: object) -> Run:
    """One agent, and one job from POST to `completed`."""
    async with agents.running(stack, home.name, home, **settings) as agent, watched(home / "transfers") as disk:
        async with signed_up(stack.api) as member:
            took_s, job = await completed(member, source)
            await member.remove(job)
        await emptied(stack)
        await agent.stop()
        return Run(took_s, disk.peak())


async def given(stack: up.Up, source: Swarm, home: Path, torrent: Path, **settings: object) -> int:
    """Bytes that a peer had from an agent that brings the torrent from elsewhere."""
    async with (
        leechers(torrent, source.content, home.with_suffix(".peers"), 1, 0) as peers,
        agents.running(stack, home.name, home, **settings) as agent,
        signed_up(stack.api) as member,
    ):
        job = await member.add_magnet(source.magnet + "".join(f"&x.pe={peer}" for peer in peers.peers))
        await member.until(job["id"], "completed", limit_s=LEECH_S)
        had = await peers.count()
        await end(stack, member, job["id"], agent)
    return had


async def leeched(stack: up.Up, source: Swarm, home: Path, torrent: Path, **settings: object) -> float:
    """Seconds until a torrent is stored that comes from leechers alone."""
    async with (
        leechers(torrent, source.content, home.with_suffix(".peers"), LEECHERS, RATE // LEECHERS) as peers,
        agents.running(stack, home.name, home, **settings) as agent,
        signed_up(stack.api) as member,
    ):
        magnet = source.magnet.partition("&tr=")[0] + "".join(f"&x.pe={peer}" for peer in peers.peers)
        began = asyncio.get_running_loop().time()
        job = await member.add_magnet(magnet)
        await member.until(job["id"], "completed", limit_s=LEECH_S)
        took_s = asyncio.get_running_loop().time() - began
        await end(stack, member, job["id"], agent)
    return took_s


async def end(stack: up.Up, member: Member, job: str, agent: agents.Hand) -> None:
    await member.remove(job)
    await emptied(stack)
    await agent.stop()


async def beside(stack: up.Up, folder: Path, size: int, rounds: int) -> list[tuple[Run, Run]]:
    """Bounded and unbounded, in turn."""
    async with swarm(folder, {"payload.bin": size}, rate_bytes=RATE, piece_bytes=MIB) as source:
        done = []
        for number in range(rounds):
            windowed = await run(stack, source, folder / f"windowed-{size}-{number}", agent_disk_bytes=BUDGET)
            plain = await run(stack, source, folder / f"plain-{size}-{number}")
            done.append((windowed, plain))
            print(f"{size // MIB} MiB: {windowed} beside {plain}: {windowed.took_s / plain.took_s:.3f}", flush=True)
    (folder / "content-1" / "payload.bin").unlink()
    return done


async def main() -> None:
    """What is timed comes last: by then the store has its volumes, and everybody has been paged in."""
    asked = report.arguments("window", long="a torrent of 20 GiB too")
    size, rounds = (GIB // 2, 1) if asked.quick else (2 * GIB, ROUNDS)
    with open_folder() as folder:
        async with up.running(folder / "stack", "--agents", "0", sets=[ALLOW]) as stack:
            async with swarm(folder, {"given.bin": GIVEN_BYTES}, rate_bytes=RATE // 2, seed=2) as source:
                torrent = folder / "content-2.torrent"
                had = await given(stack, source, folder / "taker", torrent, agent_disk_bytes=GIVEN_BYTES // 2)
                had_plain = await given(stack, source, folder / "giver", torrent)
                bounded_s = await leeched(stack, source, folder / "bounded", torrent, agent_disk_bytes=GIVEN_BYTES // 2)
                plain_s = await leeched(stack, source, folder / "free", torrent)
            done = await beside(stack, folder, size, rounds)
            long = await beside(stack, folder, LONG_BYTES, 1) if asked.long else []
    over = max(windowed.peak_bytes for windowed, _ in done + long) - BUDGET
    ratio = statistics.median(windowed.took_s / plain.took_s for windowed, plain in done)
    figures = [
        Figure(name="window.peak_over_budget_mib", value=over / MIB, unit="MiB", target=32),
        Figure(name="window.time_ratio", value=ratio, unit="ratio", target=1.05),
        Figure(name="window.given_bytes", value=had, unit="bytes", target=0),
        Figure(name="window.given_bytes_plain", value=had_plain, unit="bytes"),
        Figure(name="window.leechers_s", value=bounded_s, unit="s"),
        Figure(name="window.leechers_plain_s", value=plain_s, unit="s"),
    ]
    if long:
        long_ratio = long[0][0].took_s / long[0][1].took_s
        figures.append(Figure(name="window.time_ratio_20_gib", value=long_ratio, unit="ratio", target=1.05))
    raw = [
        {"took_s": windowed.took_s, "peak_bytes": windowed.peak_bytes, "plain_s": plain.took_s}
        for windowed, plain in done + long
    ]
    report.tell("window", figures, raw, asked)


if __name__ == "__main__":
    asyncio.run(main())

"""Bench `agent_scale`: what 1, 50 and 200 transfers at once on one agent cost: its memory, its syncs, their handling.

All torrents have the same bytes under different names, from one seeder that is so slow that all are still under way
while we look. The api's CPU counts whole: whatever else it does in that time is counted as if syncs had caused it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from msgspec import Struct

from stack.demo import seeder, torrent
from tests.support import agents, report, up
from tests.support.agents import Hand
from tests.support.folders import open_folder
from tests.support.member import signed_up
from tests.support.ports import free_ports
from tests.support.report import Figure
from tests.support.swarm import HOST, START_S, write_content
from wire.bencode import decode, encode
from wire.metainfo import parse_torrent
from wire.units import KIB, MIB

COUNTS = (1, 50, 200)
AT_ONCE = 10
"""Of one organisation in the plan `house`."""
TORRENT_BYTES = 128 * MIB
RATE = 2 * MIB
"""Of all together: one alone is under way for a minute, and 200 do not end while they are added."""
LOOK_S = 20.0
RUNNING_S = 900.0
"""A claim, a magnet's metadata and its judgement for each; on a machine with other work that takes a while."""
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(Struct, frozen=True):
    transfers: int
    rss_mib: float
    syncs: int
    sync_bytes: float
    api_cpu_ms: float
    """For each sync."""


def make(folder: Path, count: int) -> dict[Path, Path]:
    """Torrent files, each with the folder that its content lies in."""
    whole = write_content(folder / "whole", {"payload.bin": TORRENT_BYTES})
    info = decode(parse_torrent(torrent.create(whole, trackers=[], piece_bytes=256 * KIB)).raw_info)
    assert isinstance(info, dict)
    made = {}
    for number in range(count):
        home = folder / f"t{number}"
        home.mkdir()
        (home / "payload.bin").hardlink_to(whole / "payload.bin")
        file = folder / f"t{number}.torrent"
        file.write_bytes(encode({b"info": {**info, b"name": home.name.encode()}}))
        made[file] = folder
    return made


async def seed(folder: Path, count: int) -> None:
    with seeder.seeding(make(folder, count), HOST, 0, rate_bytes=RATE) as giver:
        print(f"{HOST}:{giver.port}", flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def seeded(folder: Path, count: int) -> AsyncIterator[Sequence[str]]:
    """Magnets."""
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.agent_scale", str(folder), str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            peer = (await process.stdout.readline()).decode().strip()
        files = [(folder / f"t{number}.torrent").read_bytes() for number in range(count)]
        yield [torrent.magnet(file, trackers=[], peers=[peer]) for file in files]
    finally:
        process.terminate()
        await process.wait()


async def cost(stack: up.Up, agent: Hand, port: int, transfers: int) -> Cost:
    """Over some time in which nothing changes but progress."""
    (api,) = stack.pids("api")
    assert agent.process is not None
    before, cpu_before, rss = await syncs(port), cpu_s(api), 0.0
    for _ in range(int(LOOK_S)):
        await asyncio.sleep(1)
        rss = max(rss, rss_mib(agent.process.pid))
    count, size = (after - first for after, first in zip(await syncs(port), before, strict=True))
    return Cost(transfers, rss, int(count), size / count, 1000 * (cpu_s(api) - cpu_before) / count)


async def syncs(port: int) -> tuple[float, float]:
    """How many, and their bytes."""
    said = await metrics(port)
    return said["agent_sync_seconds_count"], said["agent_sync_bytes_total"]


async def metrics(port: int) -> dict[str, float]:
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"http://127.0.0.1:{port}/metrics")).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def rss_mib(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / KIB


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def all_run(port: int, transfers: int) -> None:
    async with asyncio.timeout(RUNNING_S):
        while (await metrics(port)).get('agent_transfers{phase="running"}', 0) < transfers:
            await asyncio.sleep(0.5)


async def measure(stack: up.Up, folder: Path, transfers: int) -> Cost:
    """On an agent of its own; its jobs are gone with it."""
    (port,) = free_ports(1)
    home = folder / f"agent-{transfers}"
    async with (
        seeded(folder / f"torrents-{transfers}", transfers) as magnets,
        agents.running(stack, home.name, home, agent_slots=transfers, metrics_port=port) as agent,
        AsyncExitStack() as signed,
    ):
        added = []
        for first in range(0, transfers, AT_ONCE):
            member = await signed.enter_async_context(signed_up(stack.api))
            added += [(member, await member.add_magnet(magnet)) for magnet in magnets[first : first + AT_ONCE]]
        await all_run(port, transfers)
        done = await cost(stack, agent, port, transfers)
        for member, job in added:
            await member.cancel(job["id"])
        await agent.stop()
    print(done, flush=True)
    return done


async def main() -> None:
    asked = report.arguments("agent_scale")
    counts = COUNTS[:2] if asked.quick else COUNTS
    with open_folder() as folder:
        async with up.running(folder / "stack", "--agents", "0") as stack:
            costs = [await measure(stack, folder, count) for count in counts]
    figures = []
    for each in costs:
        is_last = each.transfers == COUNTS[-1]
        n = each.transfers
        figures += [
            Figure(name=f"agent_scale.rss_mib_{n}", value=each.rss_mib, unit="MiB", target=700 if is_last else None),
            Figure(
                name=f"agent_scale.sync_cpu_ms_{n}", value=each.api_cpu_ms, unit="ms", target=50 if is_last else None
            ),
            Figure(name=f"agent_scale.sync_kib_{n}", value=each.sync_bytes / KIB, unit="KiB"),
        ]
    raw = [{"transfers": each.transfers, "syncs": each.syncs} for each in costs]
    report.tell("agent_scale", figures, raw, asked)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2].isdecimal():
        asyncio.run(seed(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        asyncio.run(main())

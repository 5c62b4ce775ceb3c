"""Bench `agent_cpu`: CPU of an agent for each GiB that it stores, beside bare libtorrent and a bare uploader.

All three bring the same torrent at the same rate, which the seeder holds, and the two bare ones at the same time, as an
agent does both: alone, or in larger gulps, either spends less, for the same bytes. The bare
uploader binds length and checksum as our grants do. Counted is user and system of the whole tree. The figure is the
median over rounds of ours to the sum of the two.
"""

import asyncio
import re
import statistics
from pathlib import Path

from msgspec import Struct

from tests.bench.pipeline import completed, emptied
from tests.support import bucket, cpu, report, up
from tests.support.folders import open_folder
from tests.support.legs import leg
from tests.support.member import signed_up
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from wire.units import GIB, MIB

ROUNDS = 3
RATE_BYTES = 64 * MIB
TARGET = 1.25


class Round(Struct, frozen=True):
    """CPU seconds."""

    agent: float
    libtorrent: float
    uploader: float

    @property
    def ratio(self) -> float:
        return self.agent / (self.libtorrent + self.uploader)


async def one_round(stack: up.Up, source: Swarm, folder: Path) -> Round:
    peer = re.findall(r"x\.pe=([\d.:]+)", source.magnet)[0]
    agents = stack.pids("agent")
    before = cpu.spent_s(agents)
    async with signed_up(stack.api) as member:
        _, job = await completed(member, source)
        spent = cpu.spent_s(agents) - before
        await member.remove(job)
    await emptied(stack)
    url, payload = "http://{}:{}".format(*stack.store), str(source.content / "payload.bin")
    uploader = ("upload", payload, url, *bucket.credentials(stack), bucket.BUCKET, str(RATE_BYTES))
    async with asyncio.TaskGroup() as group:
        download = group.create_task(leg("download", str(folder / f"{source.content.name}.torrent"), peer))
        upload = group.create_task(leg(*uploader))
    return Round(spent, download.result().cpu_s, upload.result().cpu_s)


async def measure(folder: Path, size: int, rounds: int) -> list[Round]:
    async with (
        up.running(folder / "stack") as stack,
        swarm(folder, {"payload.bin": size}, rate_bytes=RATE_BYTES, piece_bytes=MIB) as source,
    ):
        done = []
        for number in range(rounds):
            done.append(await one_round(stack, source, folder))
            print(f"round {number + 1}: {done[-1]} ratio {done[-1].ratio:.3f}", flush=True)
    return done


async def main() -> None:
    given = report.arguments("agent_cpu")
    size, rounds = (GIB // 4, 1) if given.quick else (GIB, ROUNDS)
    with open_folder() as folder:
        done = await measure(folder, size, rounds)
    figures = [
        Figure(name="agent_cpu.ratio", value=statistics.median(r.ratio for r in done), unit="ratio", target=TARGET)
    ]
    for name in ("agent", "libtorrent", "uploader"):
        per_gib = statistics.median(getattr(r, name) for r in done) * GIB / size
        figures.append(Figure(name=f"agent_cpu.{name}_s_per_gib", value=per_gib, unit="s/GiB"))
    report.tell("agent_cpu", figures, done, given)


if __name__ == "__main__":
    asyncio.run(main())

"""Bench `small_files`: a torrent of many small files into the store, beside a plain loop of presigned PUTs.

Both put the same files into the same store, each in one piece, bound to its checksum, as many at a time, over
connections that stay open; in turn. Our clock runs from the moment the POST is sent until `completed` on the public
event stream, so it holds the download as well. The figure is the median over rounds of our rate to the loop's.
"""

import asyncio
import statistics
from pathlib import Path

from msgspec import Struct

from tests.bench.pipeline import completed
from tests.support import bucket, cpu, report, up
from tests.support.folders import open_folder
from tests.support.legs import Leg, leg
from tests.support.member import signed_up
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from wire.units import KIB

FILES, FILES_QUICK = 20_000, 3_000
FILE_BYTES = 4 * KIB
ROUNDS = 3
IN_FOLDER = 500
TARGET = 0.6


class Round(Struct, frozen=True):
    files: int
    ours_s: float
    loop: Leg
    cpu_s: dict[str, float]
    """What each program of the stack spent on ours."""

    @property
    def ratio(self) -> float:
        return self.loop.seconds / self.ours_s


async def one_round(stack: up.Up, source: Swarm, files: int) -> Round:
    url = "http://{}:{}".format(*stack.store)
    loop = await leg("puts", str(source.content), url, *bucket.credentials(stack), bucket.BUCKET)
    before = spent(stack)
    async with signed_up(stack.api) as member:
        ours_s, _ = await completed(member, source)
    after = spent(stack)
    return Round(files, ours_s, loop, {name: round(after[name] - before[name], 2) for name in after})


def spent(stack: up.Up) -> dict[str, float]:
    return {name: cpu.spent_s(stack.pids(name)) for name in up.CHILDREN}


async def measure(folder: Path, files: int, rounds: int) -> list[Round]:
    sizes = {f"{number // IN_FOLDER}/{number}": FILE_BYTES for number in range(files)}
    async with up.running(folder / "stack") as stack, swarm(folder, sizes) as source:
        done = []
        for number in range(rounds):
            done.append(await one_round(stack, source, files))
            print(f"round {number + 1}: {done[-1]} ratio {done[-1].ratio:.3f}", flush=True)
    return done


async def main() -> None:
    given = report.arguments("small_files")
    files, rounds = (FILES_QUICK, 1) if given.quick else (FILES, ROUNDS)
    with open_folder() as folder:
        done = await measure(folder, files, rounds)
    ratio = statistics.median(each.ratio for each in done)
    rates = {
        "small_files.ours_per_s": statistics.median(files / each.ours_s for each in done),
        "small_files.loop_per_s": statistics.median(files / each.loop.seconds for each in done),
    }
    figures = [Figure(name="small_files.rate_ratio", value=ratio, unit="ratio", target=TARGET, better="higher")]
    figures += [Figure(name=name, value=value, unit="files/s", better="higher") for name, value in rates.items()]
    report.tell("small_files", figures, done, given)


if __name__ == "__main__":
    asyncio.run(main())

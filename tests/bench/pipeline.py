"""Bench `pipeline`: a torrent into the store, beside bare libtorrent's download and a bare upload, interleaved.

The rates are held outside our code: the seeder's own limiter, and a token-bucket TCP proxy before the store, the same
for all runs. Our clock runs from the moment the POST is sent until `completed` on the public event stream. The figure
is the median over rounds of ours to the slower of the two legs alone in the same round.
"""

import asyncio
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from tests.support import bucket, report, up
from tests.support.folders import open_folder
from tests.support.member import Member, signed_up
from tests.support.ports import free_ports, free_row
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from wire.units import GIB, MIB

ROUNDS = 3
LEG_S = 300
PURGED_S = 60


class Case(Struct, frozen=True):
    name: str
    down: int
    up: int | None
    target: float


CASES = (
    Case("download_bound", down=64 * MIB, up=None, target=1.05),
    Case("balanced", down=45 * MIB, up=45 * MIB, target=1.10),
)


class Round(Struct, frozen=True):
    ours_s: float
    download_s: float
    upload_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / max(self.download_s, self.upload_s)


async def python(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(LEG_S):
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{arguments[:3]} ended with {process.returncode}")
    return said.decode()


@asynccontextmanager
async def held(target: tuple[str, int], port: int, rate: int | None) -> AsyncIterator[None]:
    """The store's proxy, in a process of its own."""
    limits = ["--rate", str(rate)] if rate else []
    arguments = ["--port", str(port), "--target", f"{target[0]}:{target[1]}", *limits]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.proxy", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def ours(member: Member, source: Swarm) -> float:
    began = time.monotonic()
    job = await member.add_torrent(source.torrent)
    async with member.hearing(job["id"]) as heard:
        async for said in heard:
            if said.data.get("state") == "completed":
                break
            if said.data.get("state") == "failed":
                raise RuntimeError(f"the job failed: {said}")
    took = time.monotonic() - began
    await member.remove(job["id"])
    return took


async def one_round(stack: up.Up, source: Swarm, folder: Path, port: int) -> Round:
    peer = re.findall(r"x\.pe=([\d.:]+)", source.magnet)[0]
    kept = bucket.credentials(stack)
    async with signed_up(stack.api) as member:
        ours_s = await ours(member, source)
    await emptied(stack)
    torrent = folder / f"{source.content.name}.torrent"
    download_s = float(await python("-m", "tests.support.legs", "download", str(torrent), peer))
    payload = str(source.content / "payload.bin")
    upload_s = float(
        await python("-m", "tests.support.legs", "upload", payload, f"127.0.0.1:{port}", *kept, bucket.BUCKET)
    )
    return Round(ours_s, download_s, upload_s)


async def emptied(stack: up.Up) -> None:
    """The removed job's objects are gone: no round works beside the last one's cleaning."""
    async with asyncio.timeout(PURGED_S):
        while await asyncio.to_thread(bucket.keys, stack):
            await asyncio.sleep(0.2)


async def measure(case: Case, folder: Path, size: int, rounds: int) -> list[Round]:
    port, (proxy_port,) = free_row(), free_ports(1)
    sets = [f"control.store_url=http://127.0.0.1:{proxy_port}"]
    async with (
        held(("127.0.0.1", port + 3), proxy_port, case.up),
        up.running(folder / f"stack-{case.name}", sets=sets, port=port) as stack,
        swarm(folder, {"payload.bin": size}, rate_bytes=case.down, piece_bytes=MIB) as source,
    ):
        done = []
        for number in range(rounds):
            done.append(await one_round(stack, source, folder, proxy_port))
            print(f"{case.name} round {number + 1}: {done[-1]} ratio {done[-1].ratio:.3f}", flush=True)
    return done


async def main() -> None:
    given = report.arguments("pipeline")
    size, rounds = (GIB // 8, 1) if given.quick else (GIB, ROUNDS)
    figures, raw = [], {}
    with open_folder() as folder:
        for case in CASES:
            done = await measure(case, folder, size, rounds)
            ratio = statistics.median(r.ratio for r in done)
            figures.append(Figure(name=f"pipeline.ratio_{case.name}", value=ratio, unit="ratio", target=case.target))
            raw[case.name] = [
                {"ours_s": r.ours_s, "download_s": r.download_s, "upload_s": r.upload_s, "ratio": r.ratio} for r in done
            ]
    report.tell("pipeline", figures, raw, given)


if __name__ == "__main__":
    asyncio.run(main())

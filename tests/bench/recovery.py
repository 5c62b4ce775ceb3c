"""Bench `recovery`: an agent is killed at 60 % of a torrent; how long until another has it, and how much comes twice.

Both agents run outside `up`, so nobody starts the first one again. Waits are as in production: a lease is 20 s. What
came twice is counted at the seeder: all that it gave away, less the torrent.
"""

import asyncio
import statistics
import time
from pathlib import Path

from msgspec import Struct

from tests.support import agents, report, up
from tests.support.folders import open_folder
from tests.support.member import Member, signed_up
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from wire.units import GIB, MIB

ROUNDS = 3
RATE = 64 * MIB
KILLED_AT = 0.6
TAKEOVER_TARGET_S = 30
REFETCHED_TARGET = 0.15
CLAIM_S = 120
LOOK_S = 0.05


class Round(Struct, frozen=True):
    takeover_s: float
    refetched_bytes: int
    whole_s: float


async def one_round(stack: up.Up, folder: Path, number: int, size: int) -> Round:
    first, second = f"first-{number}", f"second-{number}"
    async with (
        agents.running(stack, first, folder / first) as victim,
        swarm(folder, {"payload.bin": size}, rate_bytes=RATE, piece_bytes=MIB, seed=number) as source,
        signed_up(stack.api) as member,
    ):
        began = time.monotonic()
        job = await member.add_torrent(source.torrent)
        await fetched(member, job["id"], KILLED_AT)
        async with agents.running(stack, second, folder / second):
            assert (await agents.listed(stack))[first]["running"], "the first agent holds it"
            victim.kill()
            takeover_s = await claimed_again(stack, job["id"])
            await member.until(job["id"], "completed", limit_s=CLAIM_S)
        return Round(takeover_s, await refetched(source, size), time.monotonic() - began)


async def fetched(member: Member, job_id: str, share: float) -> None:
    async with member.hearing(job_id) as heard:
        async for said in heard:
            progress = said.data.get("progress") or said.data.get("rates") or {}
            if progress.get("total_bytes") and progress["down_bytes"] >= share * progress["total_bytes"]:
                return


async def claimed_again(stack: up.Up, job_id: str) -> float:
    """Seconds until the second epoch is committed."""
    began = time.monotonic()
    async with stack.database() as database, asyncio.timeout(CLAIM_S):
        epoch = "SELECT t.epoch FROM transfers t JOIN jobs j ON j.transfer_id = t.id WHERE j.id = $1"
        while await database.fetchval(epoch, job_id) < 2:
            await asyncio.sleep(LOOK_S)
    return time.monotonic() - began


async def refetched(source: Swarm, size: int) -> int:
    return await source.sent_bytes() - size


async def main() -> None:
    given = report.arguments("recovery")
    size, rounds = (GIB // 4, 1) if given.quick else (GIB, ROUNDS)
    done = []
    with open_folder() as folder:
        async with up.running(folder / "stack", "--agents", "0") as stack:
            for number in range(rounds):
                done.append(await one_round(stack, folder, number, size))
                print(f"round {number + 1}: {done[-1]}", flush=True)
    figures = [
        Figure(
            name="recovery.takeover_s",
            value=statistics.median(r.takeover_s for r in done),
            unit="s",
            target=TAKEOVER_TARGET_S,
        ),
        Figure(
            name="recovery.refetched_share",
            value=statistics.median(r.refetched_bytes for r in done) / size,
            unit="ratio",
            target=REFETCHED_TARGET,
        ),
    ]
    rows = [{"takeover_s": r.takeover_s, "refetched_bytes": r.refetched_bytes, "whole_s": r.whole_s} for r in done]
    report.tell("recovery", figures, rows, given)


if __name__ == "__main__":
    asyncio.run(main())

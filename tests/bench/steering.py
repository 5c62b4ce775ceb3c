"""Bench `steering`: from the moment that somebody asks to pause or to cancel until the agent's engine has done it.

The engine's moment is the time of the agent's own log line, written when libtorrent was told; one clock, one machine.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.support import report, up
from tests.support.folders import open_folder
from tests.support.member import Member, signed_up
from tests.support.report import Figure
from tests.support.swarm import Swarm, swarm
from tests.support.until import until
from wire.units import MIB

ROUNDS = 50
SIZE = 64 * MIB
RATE = 256 * 1024
"""So slow that it is still at work when the last round begins."""
TARGET_S = 1.0
STOPPED_S = 60


class Engine:
    """What the agent said, read from its log."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def said(self, event: str) -> list[float]:
        return [at for name, at in self._lines() if name == event]

    async def next(self, event: str, known: int) -> float:
        await until(lambda: len(self.said(event)) > known)
        return self.said(event)[known]

    def _lines(self) -> Iterator[tuple[str, float]]:
        for line in self._log.read_text().splitlines():
            if line.startswith("{"):
                said = json.loads(line)
                yield said["event"], datetime.fromisoformat(said["at"]).timestamp()


async def asked(member: Member, engine: Engine, job: str, verb: str, event: str) -> float:
    """Seconds until the engine had done it."""
    known, began = len(engine.said(event)), time.time()
    (await member.http.post(f"/api/v1/jobs/{job}/{verb}")).raise_for_status()
    return await engine.next(event, known) - began


async def paused(member: Member, engine: Engine, source: Swarm, rounds: int) -> list[float]:
    job = (await member.add_torrent(source.torrent))["id"]
    await member.until(job, "downloading")
    took = []
    for _ in range(rounds):
        took.append(await asked(member, engine, job, "pause", "transfer.paused"))
        await asked(member, engine, job, "resume", "transfer.resumed")
    await asked(member, engine, job, "cancel", "transfer.dropped")
    return took


async def cancelled(stack: up.Up, member: Member, engine: Engine, source: Swarm, rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        await stopped(stack)
        job = (await member.add_torrent(source.torrent))["id"]
        await member.until(job, "downloading")
        took.append(await asked(member, engine, job, "cancel", "transfer.dropped"))
    return took


async def stopped(stack: up.Up) -> None:
    """What the last round cancelled is over for the control plane, too: the next one begins anew."""
    async with stack.database() as connection, asyncio.timeout(STOPPED_S):
        while await connection.fetchval("SELECT count(*) FROM transfers WHERE state <> 'stopped'"):
            await asyncio.sleep(0.05)


async def main() -> None:
    given = report.arguments("steering")
    rounds = 5 if given.quick else ROUNDS
    with open_folder() as folder:
        async with (
            up.running(folder / "stack") as stack,
            swarm(folder, {"payload.bin": SIZE}, rate_bytes=RATE) as source,
            signed_up(stack.api) as member,
        ):
            (log,) = (stack.data / "logs").glob("agent*")
            engine = Engine(log)
            pause_s = await paused(member, engine, source, rounds)
            cancel_s = await cancelled(stack, member, engine, source, rounds)
    figures = [
        Figure(name="steering.pause_median_s", value=statistics.median(pause_s), unit="s", target=TARGET_S),
        Figure(name="steering.cancel_median_s", value=statistics.median(cancel_s), unit="s", target=TARGET_S),
    ]
    report.tell("steering", figures, {"pause_s": pause_s, "cancel_s": cancel_s}, given)


if __name__ == "__main__":
    asyncio.run(main())

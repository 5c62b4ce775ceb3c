"""Bench `start`: seconds of `up --demo` from its second start on, and what our idle Python processes hold (PSS)."""

import asyncio
import statistics
import time
from pathlib import Path

from tests.support import report, up
from tests.support.folders import open_folder
from tests.support.report import Figure
from wire.units import KIB

STARTS = 3
IDLE_S = 60
START_TARGET_S = 8
PSS_TARGET_MIB = 400


def pss_mib(pid: int) -> float:
    """Proportional set size: what is shared is counted once, split among its sharers."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / KIB
    return 0.0


async def main() -> None:
    given = report.arguments("start")
    with open_folder() as folder:
        first = await timed(folder)
        later = [await timed(folder) for _ in range(STARTS)]
        async with up.running(folder, demo=True) as stack:
            await asyncio.sleep(5 if given.quick else IDLE_S)
            pids = {"up": [stack.process.pid]} | {name: stack.pids(name) for name in ("api", "work", "agent")}
            held = {name: sum(map(pss_mib, each)) for name, each in pids.items()}
    figures = [
        Figure(name="start.later_s", value=statistics.median(later), unit="s", target=START_TARGET_S),
        Figure(name="start.first_s", value=first, unit="s"),
        Figure(name="start.pss_mib", value=sum(held.values()), unit="MiB", target=PSS_TARGET_MIB),
    ]
    report.tell("start", figures, {"later_s": later, "pss_mib": held}, given)


async def timed(folder: Path) -> float:
    began = time.monotonic()
    async with up.running(folder, demo=True):
        return time.monotonic() - began


if __name__ == "__main__":
    asyncio.run(main())

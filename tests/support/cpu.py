"""CPU that processes have used so far: user and system, with all their threads, children, and children that ended."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")


def spent_s(pids: Iterable[int]) -> float:
    """Of these and everything below them."""
    stats = dict(_stats())
    below = set(pids)
    while more := {pid for pid, (parent, _) in stats.items() if parent in below} - below:
        below |= more
    return sum(stats[pid][1] for pid in below if pid in stats) / TICKS_S


def _stats() -> Iterable[tuple[int, tuple[int, int]]]:
    """Of every process, its parent and its ticks."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), (int(fields[1]), sum(map(int, fields[11:15])))

"""What a bench prints: a table for people, JSON for programs; `holds` compares a figure with its target."""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table


class Figure(Struct, frozen=True, kw_only=True):
    name: str
    value: float
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def holds(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


class Arguments(Struct, frozen=True):
    quick: bool
    json: Path | None
    long: bool = False


def parser(name: str) -> argparse.ArgumentParser:
    """What every bench takes; some take more."""
    made = argparse.ArgumentParser(prog=f"seedlift bench {name}")
    made.add_argument("--quick", action="store_true", help="smaller and fewer rounds; for trying, not for figures")
    made.add_argument("--json", type=Path)
    return made


def arguments(name: str, *, long: str | None = None) -> Arguments:
    """`long` says what `--long` adds, where a bench has it."""
    made = parser(name)
    if long:
        made.add_argument("--long", action="store_true", help=long)
    given = made.parse_args()
    return Arguments(given.quick, given.json, bool(long) and given.long)


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def tell(bench: str, figures: list[Figure], raw: Any, given: Arguments) -> None:
    table = Table("figure", "value", "unit", "target", "holds", title=bench)
    for figure in figures:
        target = "" if figure.target is None else f"{'≤' if figure.better == 'lower' else '≥'} {figure.target:g}"
        holds = {None: "", True: "yes", False: "NO"}[figure.holds]
        table.add_row(figure.name, f"{figure.value:.3f}", figure.unit, target, holds)
    Console().print(table)
    write(bench, figures, raw, given)


def write(bench: str, figures: list[Figure], raw: Any, given: Arguments) -> None:
    """Whole or not at all."""
    if given.json:
        rows = [msgspec.to_builtins(f) | {"holds": f.holds} for f in figures]
        body = {
            "bench": bench,
            "machine": machine(),
            "quick": given.quick,
            "figures": rows,
            "raw": msgspec.to_builtins(raw),
        }
        new = given.json.with_name(f".{given.json.name}.new")
        new.write_text(json.dumps(body, indent=2) + "\n")
        new.replace(given.json)

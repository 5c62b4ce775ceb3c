"""Bench `chaos`: rounds of mixed jobs among kills, freezes and cuts; after each a checker looks at all that is left.

Every round is drawn from the seed and its number, and written down with what was found, so that it can be played again:
`--seed S --first N --rounds 1`. `--resume` goes on where the file given with `--json` ends.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec

from tests.support import report
from tests.support.chaos import rounds, world
from tests.support.chaos.checker import Fault
from tests.support.chaos.rounds import Played
from tests.support.chaos.schedule import drawn
from tests.support.folders import open_folder
from tests.support.report import Arguments, Figure

ROUNDS = 200
QUICK_ROUNDS = 3

Raw = dict[str, Any]


def given() -> argparse.Namespace:
    parser = report.parser("chaos")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the first round's number")
    parser.add_argument("--resume", action="store_true", help="go on where the file of --json ends")
    return parser.parse_args()


async def main() -> None:
    asked = given()
    number = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    done = earlier(asked.json, asked.seed) if asked.resume else []
    left = [n for n in range(asked.first, asked.first + number) if n not in {each["round"]["number"] for each in done}]
    with open_folder() as folder:
        async with world.opened(folder) as w:
            for n in left:
                played = await rounds.play(w, drawn(asked.seed, n))
                said(played)
                done.append(msgspec.to_builtins(played))
                keep(done, asked)
    report.tell("chaos", figures(done), raw(done, asked.seed), Arguments(asked.quick, asked.json))


def earlier(file: Path | None, seed: int) -> list[Raw]:
    if file is None or not file.exists():
        return []
    kept: Raw = json.loads(file.read_bytes())["raw"]
    if kept["seed"] != seed:
        raise SystemExit(f"{file} was played with seed {kept['seed']}: go on with that one, or without --resume.")
    played: list[Raw] = kept["rounds"]
    return played


def said(played: Played) -> None:
    found = "clean" if not played.wrong else "; ".join(f"{each.fault}: {each.what}" for each in played.wrong)
    blows = ", ".join(f"{blow.kind} {blow.target}".strip() for blow in played.round.blows)
    print(f"round {played.round.number} ({played.took_s:.1f} s; {blows}): {found}", flush=True)


def figures(done: list[Raw]) -> list[Figure]:
    found = [wrong["fault"] for each in done for wrong in each["wrong"]]
    faults = [Figure(name=f"chaos.{fault}", value=found.count(fault), unit="", target=0) for fault in Fault]
    return [Figure(name="chaos.rounds", value=len(done), unit="rounds", target=ROUNDS, better="higher"), *faults]


def raw(done: list[Raw], seed: int) -> Raw:
    return {"seed": seed, "rounds": done}


def keep(done: list[Raw], asked: argparse.Namespace) -> None:
    """After each round, whole or not at all: whoever stops us loses one round."""
    if asked.json is not None:
        report.write("chaos", figures(done), raw(done, asked.seed), Arguments(asked.quick, asked.json))


if __name__ == "__main__":
    asyncio.run(main())

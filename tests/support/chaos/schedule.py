"""What happens in a round, drawn from a seed and the round's number alone, so that any round can be played again."""

import random
from typing import Literal

from msgspec import Struct

from wire.units import KIB, MIB

Verb = Literal["pause", "resume", "cancel"]
Ending = Literal["completed", "cancelled", "paused"]
Kind = Literal["kill", "freeze", "cut", "slow", "streams"]

TROUBLE_S = 7.0
"""Blows and wishes come within it; the rest of a round is for coming to an end."""
FREEZE_S = (0.5, 4.0)
ORGS = 2
PROGRAMS = ("api", "work", "nats", "postgres", "s3", "agent-1", "agent-2")


class Content(Struct, frozen=True):
    """A torrent's files by path; drawn from `seed`, cut into pieces of one size."""

    name: str
    sizes: dict[str, int]
    seed: int
    hybrid: bool = False


CONTENTS = (
    Content("one", {"one.bin": 24 * MIB + 1}, 1),
    Content("two", {"a.bin": 17 * MIB + 3, "b.bin": 9 * MIB, "c.txt": 10}, 2),
    Content("many", {f"{n % 7}/{n:03}.txt": n * 37 for n in range(150)}, 3),
    Content("mixed", {"große/ü.bin": 11 * MIB, "leer": 0, "s/1": 3 * KIB, "s/2": 70 * KIB, "z.bin": 8 * MIB}, 4),
    Content("hybrid", {"h.bin": 10 * MIB, "h.srt": 40 * KIB, "h.nfo": 900}, 5, hybrid=True),
    Content("tiny", {"t.txt": 100}, 6),
)


class Step(Struct, frozen=True):
    at_s: float
    verb: Verb


class Ask(Struct, frozen=True):
    """One member's job: asked for, then perhaps thought over."""

    at_s: float
    org: int
    content: str
    by: Literal["magnet", "torrent"]
    steps: list[Step]

    @property
    def ending(self) -> Ending:
        match [step.verb for step in self.steps]:
            case [*_, "cancel"]:
                return "cancelled"
            case [*_, "pause"]:
                return "paused"
            case _:
                return "completed"


class Blow(Struct, frozen=True):
    at_s: float
    kind: Kind
    target: str = ""
    for_s: float = 0.0


class Round(Struct, frozen=True):
    number: int
    asks: list[Ask]
    blows: list[Blow]


def drawn(seed: int, number: int) -> Round:
    dice = random.Random(f"{seed}/{number}")
    places = [(org, content.name) for org in range(ORGS) for content in CONTENTS]
    asks = [_ask(dice, org, name) for org, name in dice.sample(places, dice.randint(3, 5))]
    blows = [_blow(dice) for _ in range(dice.randint(1, 4))]
    return Round(number, asks, sorted(blows, key=lambda blow: blow.at_s))


def _ask(dice: random.Random, org: int, content: str) -> Ask:
    at_s = _time(dice, 0, 2)
    stories: list[list[Verb]] = [[], [], [], ["cancel"], ["pause"], ["pause", "resume"], ["pause", "cancel"]]
    verbs = dice.choice(stories)
    times = sorted(_time(dice, at_s, TROUBLE_S) for _ in verbs)
    by: Literal["magnet", "torrent"] = "magnet" if dice.random() < 0.5 else "torrent"
    return Ask(at_s, org, content, by, [Step(at, verb) for at, verb in zip(times, verbs, strict=True)])


def _blow(dice: random.Random) -> Blow:
    at_s, kinds = _time(dice, 0.3, TROUBLE_S), ("kill", "kill", "kill", "freeze", "freeze", "cut", "slow", "streams")
    match dice.choice(kinds):
        case "kill":
            return Blow(at_s, "kill", dice.choice(PROGRAMS))
        case "freeze":
            return Blow(at_s, "freeze", dice.choice(PROGRAMS), _time(dice, *FREEZE_S))
        case "slow":
            return Blow(at_s, "slow", for_s=_time(dice, *FREEZE_S))
        case "cut":
            return Blow(at_s, "cut")
        case _:
            return Blow(at_s, "streams")


def _time(dice: random.Random, first: float, last: float) -> float:
    return round(dice.uniform(first, last), 2)

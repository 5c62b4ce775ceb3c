"""Scripts of the sim engine: what comes of a torrent, step by step, written as text.

    give 3 0.1; stall 5; give       three pieces, a tenth of a second each; nothing for five seconds; all the rest
    give 0 0.1                      all, a tenth of a second each
    give 1; lie wrong; give         a piece, then one whose hash is wrong, then all the rest
    lie gone; give                  all; the first piece cannot be read for a moment
    break metadata_mismatch         the engine gives up, with a code of `wire.failures`
    give | break disk_error         two scripts: torrents have one or the other, by their hash

After its last step nothing comes any more. Pure.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from wire.failures import FAILURES
from wire.settings import BadSettings

ALL = 0
LONG_S = 1e6
"""Nobody watches for longer, and no timer takes infinity."""


class Give(Struct, frozen=True):
    pieces: int = ALL
    every_s: float = 0.0


class Stall(Struct, frozen=True):
    for_s: float


class Break(Struct, frozen=True):
    code: str


class Lie(Struct, frozen=True):
    how: Literal["wrong", "gone"]


Step: TypeAlias = Give | Stall | Break | Lie
Script: TypeAlias = tuple[Step, ...]


class BadScript(BadSettings):
    """Says what is wrong with it."""


def parse(text: str) -> tuple[Script, ...]:
    return tuple(tuple(_step(step.split()) for step in script.split(";")) for script in text.split("|"))


def _step(words: list[str]) -> Step:
    try:
        match words:
            case ["give"]:
                return Give()
            case ["give", pieces] if int(pieces) > 0:
                return Give(int(pieces))
            case ["give", pieces, every_s] if int(pieces) >= 0 and 0 <= float(every_s) < LONG_S:
                return Give(int(pieces), float(every_s))
            case ["stall", for_s] if 0 < float(for_s) < LONG_S:
                return Stall(float(for_s))
            case ["break", code] if code in FAILURES:
                return Break(code)
            case ["lie", ("wrong" | "gone") as how]:
                return Lie(how)
    except ValueError:
        pass
    raise BadScript(f"the sim engine knows no step {' '.join(words)!r}")


def dealt(scripts: tuple[Script, ...], v1: str) -> Script:
    """Always the same one to the same torrent."""
    return scripts[int(v1[:8], 16) % len(scripts)]

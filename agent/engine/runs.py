"""Which bytes to ask a web server for next: neighbours among the pieces that are wanted most, from the front. Pure."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from wire.units import MIB

RUN_BYTES = 8 * MIB
"""One request: as much as most parts have, so that several at once finish parts, and each costs one answer's delay."""
_ASKED = re.compile(b"[^\\0]")


class Run(Struct, frozen=True):
    first: int
    last: int
    """Pieces, both in it."""


class Pieces:
    """Of one file. `todo` has the priority of each that is asked for, not there, and not on its way."""

    def __init__(self, priorities: Sequence[int], piece_bytes: int, have: bytes = b"") -> None:
        self.have = bytearray(have or len(priorities))
        self.todo = bytearray(0 if there else asked for there, asked in zip(self.have, priorities, strict=True))
        self._asked = bytearray(priorities)
        self._away = bytearray(len(priorities))
        """On their way, each in one run."""
        self._run_max = max(1, RUN_BYTES // piece_bytes)

    def ask(self, changes: Iterable[tuple[int, int]]) -> None:
        for piece, priority in changes:
            self._asked[piece] = priority
            if not self.have[piece] and not self._away[piece]:
                self.todo[piece] = priority

    def is_asked(self, piece: int) -> bool:
        return bool(self._asked[piece])

    def asked_from(self, piece: int) -> bool:
        """This one or one behind it is asked for, and not there."""
        return _ASKED.search(self.todo, piece) is not None

    def take(self) -> Run | None:
        if not (most := max(self.todo, default=0)):
            return None
        first = last = self.todo.find(most)
        while last + 1 < len(self.todo) and self.todo[last + 1] and last + 1 - first < self._run_max:
            last += 1
        self.todo[first : last + 1] = bytes(last + 1 - first)
        self._away[first : last + 1] = b"\1" * (last + 1 - first)
        return Run(first, last)

    def give_back(self, run: Run) -> None:
        """What of it has not come is to be asked for again."""
        for piece in range(run.first, run.last + 1):
            self._away[piece] = 0
            if not self.have[piece]:
                self.todo[piece] = self._asked[piece]

    def arrived(self, piece: int) -> None:
        self.have[piece] = 1
        self.todo[piece] = 0

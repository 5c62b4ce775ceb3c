"""Upload slots, shared: whoever holds fewest goes next, and of those who hold as few, the one that waited longest.

Pure. Slots are lent for very different times (a part, or a hundred small files that wait for their grants), so turns
alone would give most of them to whoever keeps his longest.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from wire.ids import TransferId

T = TypeVar("T")


class Turns:
    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: dict[TransferId, None] = {}
        """In the order of their last turn."""
        self._lent: Counter[TransferId] = Counter()
        """Also to those who have left since, until they give back."""

    def join(self, transfer: TransferId) -> None:
        self._waiting[transfer] = None

    def leave(self, transfer: TransferId) -> None:
        del self._waiting[transfer]

    def lend(self, wants: Callable[[TransferId], T | None]) -> T | None:
        """Asks one after the other what it would do with a slot; the first that wants one has it."""
        if not self._free:
            return None
        for transfer in sorted(self._waiting, key=self._lent.__getitem__):  # stable: the longest wait first
            if (wanted := wants(transfer)) is not None:
                self._free -= 1
                self._lent[transfer] += 1
                del self._waiting[transfer]
                self._waiting[transfer] = None
                return wanted
        return None

    def give_back(self, transfer: TransferId) -> None:
        self._free += 1
        self._lent[transfer] -= 1
        if not self._lent[transfer]:
            del self._lent[transfer]

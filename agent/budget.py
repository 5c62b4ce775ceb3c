"""The budget: what all transfers of this agent together may have on its disk. Pure.

plain     has room set aside for all of it, and keeps its files while it runs, so that it can share them
windowed  does not fit: pieces are asked for only as far as its share reaches, and what is stored leaves the disk.
          Its floor is set aside; what nobody set aside is shared by all windows, and shrinks when others come
"""

from collections.abc import Mapping
from enum import StrEnum

from agent.parts import Book
from wire.ids import TransferId
from wire.units import GIB, MIB

CLAIM_BYTES = 32 * MIB
"""Kept free for each claim whose size is not known yet: the floor of a torrent with pieces of up to 4 MiB."""
FLOOR_PIECES = 4
"""Beside its largest part a window needs the two pieces that stick out of that, and some to be on their way."""
SHARE_MAX_BYTES = GIB
"""More makes nothing faster: at 200 MiB/s a window of 256 MiB cost no time. What is in a window is fetched again
after a restart."""


class Kept(StrEnum):
    PLAIN = "plain"
    WINDOWED = "windowed"


def floor_of(book: Book) -> int:
    """The smallest window through which a torrent can pass: whatever its largest part needs fits at once."""
    layout = book.layout
    wanted = (unit.size_bytes for index, unit in enumerate(layout.units) if book.wanted[index])
    return max(wanted, default=0) + FLOOR_PIECES * layout.piece_bytes


class Budget:
    def __init__(self, total_bytes: int, *, can_punch: bool = True) -> None:
        self.total_bytes = total_bytes
        self._can_punch = can_punch
        self._plain: dict[TransferId, int] = {}
        self._floors: dict[TransferId, int] = {}
        self._trash: dict[int, int] = {}
        self._thrown = 0

    def __len__(self) -> int:
        return len(self._plain) + len(self._floors)

    def __contains__(self, transfer: TransferId) -> bool:
        return transfer in self._plain or transfer in self._floors

    @property
    def promised_bytes(self) -> int:
        return self._taken_bytes + sum(self._floors.values())

    @property
    def _taken_bytes(self) -> int:
        """By what is not windowed."""
        return sum(self._plain.values()) + sum(self._trash.values())

    def found(self, transfer: TransferId, there_bytes: int) -> None:
        """What an earlier life left counts until the transfer is admitted anew, or swept away."""
        self._plain[transfer] = there_bytes

    def can_ever(self, need_bytes: int, floor_bytes: int) -> bool:
        """With the disk all to itself."""
        return (min(need_bytes, floor_bytes) if self._can_punch else need_bytes) <= self.total_bytes

    def admit(
        self,
        transfer: TransferId,
        need_bytes: int,
        floor_bytes: int,
        held: Mapping[TransferId, int],
        *,
        plain_fits: bool = True,
    ) -> Kept | None:
        """How it may be kept; None: not now. `held` is what is in the windows: what they have in excess of their
        floors must have left before a plain transfer may rely on it. Not `plain_fits`: others have filled the disk."""
        windows = sum(max(floor, held.get(each, 0)) for each, floor in self._floors.items())
        own = self._plain.get(transfer, 0)
        if plain_fits and self._taken_bytes - own + windows + need_bytes <= self.total_bytes:
            self._plain[transfer] = need_bytes
            return Kept.PLAIN
        if self._can_punch and self.promised_bytes - own + floor_bytes <= self.total_bytes:
            self._plain.pop(transfer, None)
            self._floors[transfer] = floor_bytes
            return Kept.WINDOWED
        return None

    def grow(
        self,
        transfer: TransferId,
        fresh_bytes: int,
        floor_bytes: int,
        held: Mapping[TransferId, int],
        *,
        plain_fits: bool = True,
    ) -> bool:
        """More of it is wanted; whether that may come here too. How it is kept stays as it is."""
        if transfer in self._floors:
            more = max(0, floor_bytes - self._floors[transfer])
            fits = not more or self.promised_bytes + more <= self.total_bytes
            self._floors[transfer] += more if fits else 0
            return fits
        windows = sum(max(floor, held.get(each, 0)) for each, floor in self._floors.items())
        fits = not fresh_bytes or (plain_fits and self._taken_bytes + windows + fresh_bytes <= self.total_bytes)
        self._plain[transfer] = self._plain.get(transfer, 0) + (fresh_bytes if fits else 0)
        return fits

    def leave(self, transfer: TransferId) -> None:
        """For now: its files stay, and it will be admitted anew."""
        self._plain.pop(transfer, None)
        self._floors.pop(transfer, None)

    def discard(self, transfer: TransferId, held_bytes: int) -> int:
        """Its files are being removed; what they occupy is free when `swept` is told the number given here."""
        self._thrown += 1
        self._trash[self._thrown] = max(self._plain.get(transfer, 0), held_bytes)
        self.leave(transfer)
        return self._thrown

    def swept(self, number: int) -> None:
        del self._trash[number]

    def may_claim(self, unknown: int) -> bool:
        """Beside so many transfers of which nothing is set aside yet; a small budget takes one at a time."""
        wanted = self.promised_bytes + (unknown + 1) * CLAIM_BYTES
        return wanted <= self.total_bytes or not (unknown or self.promised_bytes)

    def load(self) -> float:
        return self.promised_bytes / max(1, self.total_bytes)

    def rooms(self, held: Mapping[TransferId, int]) -> dict[TransferId, int]:
        """How many bytes more each window may ask for. A newcomer waits until those before it are down to their
        new share; each can get there, for the parts it holds are asked for whole."""
        left = self.total_bytes - self._taken_bytes
        free = left - sum(held.get(each, 0) for each in self._floors)
        even = (left - sum(self._floors.values())) // max(1, len(self._floors))
        rooms = {}
        for transfer, floor in self._floors.items():
            share = max(floor, min(SHARE_MAX_BYTES, floor + even))
            rooms[transfer] = max(0, min(share - held.get(transfer, 0), free))
            free -= rooms[transfer]
        return rooms

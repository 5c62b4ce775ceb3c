"""Room on the disk: a transfer is admitted before it downloads, and waits for those that leave.

What could not pass through the smallest window even with the disk to itself is refused, and its offers are left to
other agents for as long as this process lives.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from agent.budget import Budget, Kept, floor_of
from agent.disk import Disk
from agent.metrics import DISK_BUDGET, DISK_PROMISED
from agent.parts import Book
from telemetry import logs
from wire.ids import TransferId

log = logs.get(__name__)

WAIT_S = 60.0
"""A transfer that waits here for so long may find room elsewhere meanwhile."""
REFUSED_KEPT = 1_000


class NoRoom(Exception):
    """Says why, and in `ever` whether there could be room later."""

    def __init__(self, said: str, *, ever: bool) -> None:
        super().__init__(said)
        self.ever = ever


class DiskRoom:
    def __init__(self, budget: Budget, disk: Disk, held: Callable[[], Mapping[TransferId, int]]) -> None:
        self.budget = budget
        self._disk = disk
        self._held = held
        """Bytes in each window."""
        self._changed = asyncio.Event()
        self._waiting = 0
        self._refused: deque[TransferId] = deque(maxlen=REFUSED_KEPT)
        DISK_BUDGET.set(budget.total_bytes)

    async def admit(self, transfer: TransferId, book: Book, wait_s: float = WAIT_S) -> Kept:
        """Raises NoRoom."""
        missing = book.missing_bytes
        there = await asyncio.to_thread(self._disk.occupied, transfer)
        need = min(missing + there, max(there, book.layout.pieces * book.layout.piece_bytes))
        floor = floor_of(book)
        if not self.budget.can_ever(need, floor):
            self._refused.append(transfer)
            raise NoRoom(
                f"it needs {min(need, floor)} bytes of this agent's disk at once, and may have less", ever=False
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                while (kept := self._try(transfer, need, floor, need - there)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NoRoom("other transfers fill this agent's disk", ever=True) from None
        finally:
            self._waiting -= 1
        log.info("transfer.kept", transfer=transfer, kept=kept, need_bytes=need)
        return kept

    def _try(self, transfer: TransferId, need: int, floor: int, fresh: int) -> Kept | None:
        plain_fits = self._disk.room_for(fresh)
        kept = self.budget.admit(transfer, need, floor, self._held(), plain_fits=plain_fits)
        DISK_PROMISED.set(self.budget.promised_bytes)
        return kept

    def grow(self, transfer: TransferId, book: Book, fresh_bytes: int) -> bool:
        """Other files of it are wanted. Fewer free nothing: what is there of the others stays."""
        fresh = max(0, fresh_bytes)
        grown = self.budget.grow(
            transfer, fresh, floor_of(book), self._held(), plain_fits=not fresh or self._disk.room_for(fresh)
        )
        DISK_PROMISED.set(self.budget.promised_bytes)
        return grown

    def is_short(self) -> bool:
        """Somebody waits for it, or nobody new may come."""
        return self._waiting > 0 or not self.budget.may_claim(0)

    def refuses(self, transfer: TransferId) -> bool:
        return transfer in self._refused

    def rooms(self) -> Mapping[TransferId, int]:
        """How many bytes more each window may ask for."""
        return self.budget.rooms(self._held())

    def leave(self, transfer: TransferId) -> None:
        self.budget.leave(transfer)
        self._note()

    def discard(self, transfer: TransferId, held_bytes: int) -> int:
        """Out of sight at once; there is room for others when it is swept, by this number."""
        self._disk.drop(transfer)
        return self.budget.discard(transfer, held_bytes)

    async def sweep(self, number: int) -> None:
        await asyncio.to_thread(self._disk.sweep)
        self.budget.swept(number)
        self._note()

    def _note(self) -> None:
        DISK_PROMISED.set(self.budget.promised_bytes)
        self._changed.set()

"""The drain: what the control plane knows to be stored leaves the disk of windowed transfers.

put ──► journalled ──► acknowledged by a sync ──► its pieces punched out ──► room for as many more
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from agent.holes import Holes, Run, runs_of
from agent.parts import Book
from agent.running import Event, Failed
from agent.transfer import Transfer
from wire.ids import TransferId
from wire.messages import Failure


class Drain(Struct, frozen=True):
    transfers: Mapping[TransferId, Transfer]
    beside: Callable[[Transfer, Awaitable[None]], None]
    happened: Callable[[Event | None], None]

    def held(self) -> dict[TransferId, int]:
        """Bytes in each window."""
        return {each: held.book.held_bytes for each, held in self.transfers.items() if held.holes and held.book}

    def free(self, held: Transfer, pieces: Sequence[int]) -> None:
        """Nobody here needs them any more."""
        if held.holes is not None and held.book is not None and pieces:
            held.book.leaves(pieces)
            runs = runs_of(pieces, held.book.needed, held.book.layout.piece_bytes)
            self.beside(held, self._punch(held.spec.transfer, held.holes, held.book, runs, pieces))

    async def _punch(
        self, transfer: TransferId, holes: Holes, book: Book, runs: Sequence[Run], pieces: Sequence[int]
    ) -> None:
        try:
            await asyncio.to_thread(holes.punch, runs)
        except OSError as failure:
            self.happened(Failed(transfer, Failure("disk_error", str(failure))))
        else:
            book.left(pieces)
            self.happened(None)

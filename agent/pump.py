"""The pump: lends the upload slots to transfers that have units ready, and notes what was stored."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from agent.disk import disk_failure
from agent.engine.api import Engine, NotThere
from agent.fleet import Refusal
from agent.metrics import PARTS, STORED_BYTES
from agent.running import Counted, Event, Failed
from agent.transfer import Transfer
from agent.turns import Turns
from agent.upload import BATCH_BYTES, BATCH_FILES, GivenUp, Put, Task, Uploads
from telemetry import logs
from telemetry.correlation import correlated
from wire.failures import failure
from wire.ids import TransferId
from wire.messages import PartStored

log = logs.get(__name__)

READ_AGAIN_S = 1.0
"""After a piece could not be read: the disk, or a torrent on its way out."""
UNREADABLE_MAX = 60
"""In a row: about a quarter of a minute with four slots, and a minute with one."""
NOT_GO = "not_go"
"""No grant while the control plane wants the transfer to stop."""


class Ears(Struct, frozen=True):
    """Who hears what the pump has to say."""

    happened: Callable[[Event | None], None]
    """None: nothing to fold, but look again."""
    refused: Callable[[Transfer, Refusal], None]
    sync_due: Callable[[], None]
    freed: Callable[[Transfer, list[int]], None]
    """Pieces that are needed no more."""


class Pump:
    def __init__(self, slots: int, engine: Engine, uploads: Uploads, ears: Ears) -> None:
        self._engine = engine
        self._uploads = uploads
        self._ears = ears
        self._turns = Turns(slots)

    def join(self, transfer: TransferId) -> None:
        self._turns.join(transfer)

    def leave(self, transfer: TransferId) -> None:
        self._turns.leave(transfer)
        self._uploads.forget(transfer)

    def take(self, may: Callable[[TransferId], Transfer | None]) -> Iterator[tuple[Transfer, Task]]:
        """What is to be uploaded now, as long as slots are free; `may` gives a transfer whose units may be put."""

        def wants(transfer: TransferId) -> tuple[Transfer, Task] | None:
            held = may(transfer)
            if held is None or held.book is None or not (taken := held.book.take(BATCH_BYTES, BATCH_FILES)):
                return None
            return held, Task(transfer, held.spec.epoch, held.book.layout, taken)

        while lent := self._turns.lend(wants):
            yield lent

    async def upload(self, held: Transfer, task: Task) -> None:
        """Gives the slot back whatever happens, and what was not stored is ready again."""
        with correlated(held.spec.correlation_id):
            try:
                await self._uploads.put(task, partial(self._stored, held))
            except Refusal as refusal:
                if refusal.code == NOT_GO:
                    await asyncio.sleep(READ_AGAIN_S)  # stopped, most likely; the next sync says
                else:
                    self._ears.refused(held, refusal)
            except GivenUp as refused:
                self._ears.happened(Failed(task.transfer, failure(refused.code, refused.detail)))
            except (NotThere, TimeoutError) as missing:
                await self._unreadable(held, str(missing))
            except OSError as broken:  # the journal's
                self._ears.happened(Failed(task.transfer, disk_failure(broken)))
            finally:
                self._turns.give_back(task.transfer)
                self._give_back(held, task)

    async def _unreadable(self, held: Transfer, detail: str) -> None:
        transfer = held.spec.transfer
        log.warning("piece.unreadable", transfer=transfer, detail=detail)
        held.unreadable += 1
        if held.unreadable == UNREADABLE_MAX:
            self._ears.happened(Failed(transfer, failure("disk_error", f"What was verified cannot be read: {detail}")))
        await asyncio.sleep(READ_AGAIN_S)

    async def _stored(self, held: Transfer, put: Put) -> None:
        book, transfer = held.book, held.spec.transfer
        assert book is not None
        if put.stored is None:
            book.stored(put.index)
            self._ears.freed(held, book.is_safe(put.index))
            return
        if held.is_replaced(put.stored.file, put.upload):
            log.info("part.lost", transfer=transfer, file=put.stored.file)
            return  # put into an upload that is gone; its unit is given back
        if held.note(put.index, put.upload, put.stored):
            log.warning("upload.replaced", transfer=transfer, file=put.stored.file)
            if held.holes is not None:  # what it had may have left the disk, and the engine would not ask for it again
                self._ears.happened(Failed(transfer, failure("upload_gone", "the store has lost parts of a file")))
                return
            self._engine.ask(transfer, list(enumerate(book.priorities())))
        held.unreadable = 0
        PARTS.inc()
        STORED_BYTES.inc(put.stored.size_bytes)
        log.debug("part.stored", transfer=transfer, file=put.stored.file, size_bytes=put.stored.size_bytes)
        if isinstance(put.stored, PartStored) and book.file_is_stored(put.stored.file):
            log.info("file.stored", transfer=transfer, file=put.stored.file)
        if held.sync_is_due():
            self._ears.sync_due()

    def _give_back(self, held: Transfer, task: Task) -> None:
        """Once for a batch: what is not stored of it is ready again."""
        book = held.book
        assert book is not None
        for index in task.indices:
            if needless := book.give_back(index):
                self._ears.freed(held, needless)
        self._ears.happened(Counted(task.transfer, book.unready, book.unstored))

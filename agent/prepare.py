"""From an info dict to a book: units laid out, what is stored already ticked off, what the journal says confirmed."""

import asyncio
from collections.abc import Iterator, Sequence

from agent.disk import Disk
from agent.fleet import Fleet
from agent.journal import Stored
from agent.parts import Book, Span, lay_out
from agent.transfer import Transfer
from wire.errors import BadTorrent
from wire.messages import WANTS_MAX, Failure, Want
from wire.metainfo import Info, parse_info


class CannotPrepare(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


async def prepare(transfer: Transfer, fleet: Fleet, disk: Disk) -> None:
    """Sets the transfer's info and book. Raises CannotPrepare, and Refusal when it is not ours any more."""
    info, book = await asyncio.to_thread(_lay_out, transfer)
    left = book.total_bytes - book.stored_bytes
    if not disk.room_for(left):
        raise CannotPrepare(Failure("disk_full", f"{left} bytes are missing and the agent's disk has not so much left"))
    transfer.info, transfer.book = info, book
    for batch in _batches(list(transfer.remembered()), WANTS_MAX):
        await _confirm(transfer, fleet, batch)


def _lay_out(transfer: Transfer) -> tuple[Info, Book]:
    """In a thread: a large info dict takes seconds."""
    assert transfer.raw_info is not None
    try:
        info = parse_info(transfer.raw_info)
    except BadTorrent as bad:
        raise CannotPrepare(Failure("bad_metadata", f"{bad.code}: {bad}", retryable=False)) from None
    spans = (Span(file.index, file.offset, file.size_bytes) for file in info.content)
    book = Book(lay_out(spans, info.piece_length, info.piece_count))
    book.already_stored(((part.file, part.part) for part in transfer.spec.parts), transfer.spec.files)
    book.choose(transfer.spec.steer.files)
    return info, book


async def _confirm(transfer: Transfer, fleet: Fleet, batch: Sequence[Stored]) -> None:
    """A grant names the upload that is open now: only parts of that one are there."""
    assert transfer.book is not None
    spec = transfer.spec
    wants = [Want(s.part.file, s.part.part, s.part.size_bytes, s.part.crc32) for s in batch]
    grants = await fleet.grants_patiently(spec.transfer, spec.epoch, wants)
    uploads = {(grant.file, grant.part): grant.upload for grant in grants}
    for stored in batch:
        part = stored.part
        index = transfer.book.index_of(part.file, part.part)
        if index is not None and uploads.get((part.file, part.part)) == stored.upload:
            transfer.confirmed(index, stored)


def _batches(stored: Sequence[Stored], size: int) -> Iterator[Sequence[Stored]]:
    for at in range(0, len(stored), size):
        yield stored[at : at + size]

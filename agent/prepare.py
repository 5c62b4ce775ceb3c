"""From an info dict to a book: units laid out, what is stored already ticked off, what the journal says confirmed."""

import asyncio
from collections.abc import Iterator, Sequence

from agent.budget import Kept
from agent.disk import Disk
from agent.fleet import Fleet
from agent.holes import Holes
from agent.journal import Stored
from agent.parts import Book, Layout, Span, lay_out
from agent.room import DiskRoom, NoRoom
from agent.transfer import Transfer
from wire.errors import BadInput
from wire.failures import failure
from wire.links import is_media
from wire.messages import DISK_BUSY, WANTS_MAX, Failure, Want
from wire.metainfo import Listing, parse_info
from wire.remote import parse_remote


class CannotPrepare(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


async def prepare(transfer: Transfer, fleet: Fleet, disk: Disk, room: DiskRoom) -> None:
    """Sets the transfer's info and book. Raises CannotPrepare, and Refusal when it is not ours any more."""
    info, book = await asyncio.to_thread(_lay_out, transfer)
    try:
        kept = await room.admit(transfer.spec.transfer, book)
    except NoRoom as said:
        raise CannotPrepare(failure(DISK_BUSY if said.ever else "no_room", str(said))) from None
    if kept is Kept.WINDOWED:
        # What a window held in an earlier life is fetched again: less than reading all its holes to check it.
        await asyncio.to_thread(disk.clear, transfer.spec.transfer)
        transfer.holes = Holes(disk.data(transfer.spec.transfer), info)
    transfer.info, transfer.book = info, book
    for batch in _batches(list(transfer.remembered()), WANTS_MAX):
        await _confirm(transfer, fleet, batch)


def _lay_out(transfer: Transfer) -> tuple[Listing, Book]:
    """In a thread: a large info dict takes seconds."""
    assert transfer.raw_info is not None
    is_file = transfer.spec.url is not None
    try:
        info = parse_remote(transfer.raw_info).listing() if is_file else parse_info(transfer.raw_info)
    except BadInput as bad:
        raise CannotPrepare(failure("bad_metadata", f"{bad.code}: {bad}")) from None
    book = Book(layout_of(info))
    book.already_stored(((part.file, part.part) for part in transfer.spec.parts), transfer.spec.files)
    book.choose(transfer.spec.steer.files)
    return info, book


def layout_of(info: Listing) -> Layout:
    spans = (Span(file.index, file.offset, file.size_bytes, is_media(file.path[-1])) for file in info.content)
    return lay_out(spans, info.piece_length, info.piece_count)


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

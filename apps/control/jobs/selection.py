"""Which files a job wants: by their index in the torrent, or all. Checked, counted and joined here."""

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, any_, exists, func, or_, select

from control.db import Tx
from control.errors import BadInput
from control.jobs.model import Job
from control.torrents.model import File
from control.transfers.model import Object, Transfer
from wire.filelist import FileKind


class Chosen(Struct, frozen=True):
    files: list[int] | None
    """None: all."""
    bytes: int


async def check(tx: Tx, torrent_id: UUID, files: list[int] | None) -> Chosen:
    """Against a torrent whose metadata is known."""
    rows = await tx.execute(
        select(File.index, File.size_bytes).where(File.torrent_id == torrent_id, File.kind == FileKind.FILE)
    )
    sizes = dict(rows.all())
    if files is None or sizes.keys() == set(files):
        return Chosen(None, sum(sizes.values()))
    if unknown := [index for index in files if index not in sizes]:
        raise BadInput(f"There is no file {unknown[0]} in this torrent.", code="no_such_file")
    return Chosen(files, sum(sizes[index] for index in files))


def union(selections: Iterable[list[int] | None]) -> list[int] | None:
    joined: set[int] = set()
    for files in selections:
        if files is None:
            return None
        joined.update(files)
    return sorted(joined)


def is_chosen() -> ColumnElement[bool]:
    """Of a query that joins jobs and files."""
    return or_(Job.files.is_(None), File.index == any_(Job.files))


def is_wanted() -> ColumnElement[bool]:
    """Of a query that joins transfers and files."""
    return (File.kind == FileKind.FILE) & or_(Transfer.files.is_(None), File.index == any_(Transfer.files))


async def largest_wanted(tx: Tx, transfer: Transfer) -> int:
    """Of the files that are wanted of a transfer, how large the largest is."""
    await tx.flush()
    largest = select(func.max(File.size_bytes)).join(Transfer, Transfer.torrent_id == File.torrent_id)
    return await tx.scalar(largest.where(Transfer.id == transfer.id, is_wanted())) or 0


async def stored_of(tx: Tx, job: Job) -> list[int]:
    """Of the files that the job wants, those that are in the store."""
    return list(await tx.scalars(_wanted_by(job).where(_IS_STORED)))


async def is_complete(tx: Tx, job: Job) -> bool:
    """Whether all that it wants is in the store."""
    await tx.flush()
    return await tx.scalar(_wanted_by(job).where(~_IS_STORED).limit(1)) is None


_IS_STORED = exists().where(
    Object.transfer_id == Job.transfer_id, Object.file == File.index, Object.stored_at.is_not(None)
)


def _wanted_by(job: Job) -> Select[int]:
    return (
        select(File.index)
        .join(Transfer, Transfer.torrent_id == File.torrent_id)
        .join(Job, Job.transfer_id == Transfer.id)
        .where(Job.id == job.id, File.kind == FileKind.FILE, is_chosen())
    )

"""Facts from agents: parts and small files that the store has. Written once each, however often they are said."""

import datetime as dt
from collections.abc import Iterable

from msgspec import Struct
from prometheus_client import Counter
from sqlalchemy import ColumnElement, any_, bindparam, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import BigInteger, Integer, Text

from control.db import Tx
from control.storage.keys import object_key
from control.torrents.model import File
from control.transfers.model import Object, Part, Transfer
from telemetry import logs
from wire.messages import FileStored, PartStored
from wire.parts import is_small, part_count, part_range

log = logs.get(__name__)

_PARTS = Counter("control_parts_recorded_total", "Parts and small files that agents said are stored.", ["kind"])


class Recorded(Struct, frozen=True):
    new: int
    """Rows that were not there before: the transfer made progress."""
    bytes: int
    """Of those."""
    completes_file: bool
    """All parts of some file are there now: loop `finish` can complete its upload."""


NOTHING = Recorded(0, 0, completes_file=False)

_INSERT_PARTS = text(
    """
    INSERT INTO parts (transfer_id, file, part, scope_id, epoch, size_bytes, crc32, etag, stored_at)
    SELECT o.transfer_id, p.file, p.part, o.scope_id, :epoch, p.size_bytes, p.crc32, p.etag, :now
    FROM unnest(:files, :parts, :sizes, :crcs, :etags) AS p (file, part, size_bytes, crc32, etag)
    JOIN objects o ON o.transfer_id = :transfer AND o.file = p.file
    WHERE o.stored_at IS NULL AND o.upload_id IS NOT NULL
    ON CONFLICT (transfer_id, file, part) DO UPDATE
      SET epoch = excluded.epoch, size_bytes = excluded.size_bytes, crc32 = excluded.crc32, etag = excluded.etag
      WHERE parts.epoch <= excluded.epoch
    RETURNING CASE WHEN xmax = 0 THEN size_bytes END
    """
).bindparams(
    bindparam("files", type_=ARRAY(Integer)),
    bindparam("parts", type_=ARRAY(Integer)),
    bindparam("sizes", type_=ARRAY(BigInteger)),
    bindparam("crcs", type_=ARRAY(BigInteger)),
    bindparam("etags", type_=ARRAY(Text)),
)

_INSERT_FILES = text(
    """
    INSERT INTO objects (transfer_id, file, scope_id, key, size_bytes, etag, crc32, epoch, opened_at, stored_at)
    SELECT :transfer, f.file, :scope, f.key, f.size_bytes, f.etag, f.crc32, :epoch, :now, :now
    FROM unnest(:files, :keys, :sizes, :crcs, :etags) AS f (file, key, size_bytes, crc32, etag)
    ON CONFLICT (transfer_id, file) DO NOTHING
    RETURNING size_bytes
    """
).bindparams(
    bindparam("files", type_=ARRAY(Integer)),
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("sizes", type_=ARRAY(BigInteger)),
    bindparam("crcs", type_=ARRAY(BigInteger)),
    bindparam("etags", type_=ARRAY(Text)),
)


async def sizes_of(tx: Tx, transfer: Transfer, files: Iterable[int]) -> dict[int, int]:
    wanted = set(files)
    if not wanted:
        return {}
    rows = await tx.execute(
        select(File.index, File.size_bytes).where(
            File.torrent_id == transfer.torrent_id, is_one_of(File.index, wanted), File.kind == "file"
        )
    )
    return dict(rows.all())


def is_one_of(column: InstrumentedAttribute[int], numbers: Iterable[int]) -> ColumnElement[bool]:
    """As one array, however many: a list of parameters would be another statement for each length."""
    return column == any_(literal(list(numbers), ARRAY(Integer)))


async def record_parts(tx: Tx, transfer: Transfer, said: Iterable[PartStored], now: dt.datetime) -> Recorded:
    """Only parts of an upload that is open. Which upload an agent means is fixed by its epoch: one that was given up
    took the transfer off its agent with it."""
    newest = {(p.file, p.part): p for p in said}
    if not newest:
        return NOTHING
    sizes = await sizes_of(tx, transfer, (p.file for p in newest.values()))
    parts = [p for p in newest.values() if _fits(p, sizes.get(p.file))]
    if len(parts) < len(newest):
        log.warning("transfer.parts_misfit", transfer=str(transfer.id), count=len(newest) - len(parts))
    rows = await tx.execute(
        _INSERT_PARTS,
        {
            "transfer": transfer.id,
            "epoch": transfer.epoch,
            "now": now,
            "files": [p.file for p in parts],
            "parts": [p.part for p in parts],
            "sizes": [p.size_bytes for p in parts],
            "crcs": [p.crc32 for p in parts],
            "etags": [p.etag for p in parts],
        },
    )
    new = [size for size in rows.scalars() if size is not None]
    _PARTS.labels("part").inc(len(new))
    whole = await _any_whole(tx, transfer, {p.file: sizes[p.file] for p in parts})
    return Recorded(len(new), sum(new), completes_file=whole)


async def record_files(tx: Tx, transfer: Transfer, said: Iterable[FileStored], now: dt.datetime) -> Recorded:
    """The first that is recorded stays: a file is stored once, under one name."""
    newest = {f.file: f for f in said}
    if not newest:
        return NOTHING
    sizes = await sizes_of(tx, transfer, newest)
    files = [f for f in newest.values() if _is_ours(transfer, f, sizes.get(f.file))]
    if len(files) < len(newest):
        log.warning("transfer.files_misfit", transfer=str(transfer.id), count=len(newest) - len(files))
    rows = await tx.execute(
        _INSERT_FILES,
        {
            "transfer": transfer.id,
            "scope": transfer.scope_id,
            "epoch": transfer.epoch,
            "now": now,
            "files": [f.file for f in files],
            "keys": [f.key for f in files],
            "sizes": [f.size_bytes for f in files],
            "crcs": [f.crc32 for f in files],
            "etags": [f.etag for f in files],
        },
    )
    new = rows.scalars().all()
    _PARTS.labels("file").inc(len(new))
    return Recorded(len(new), sum(new), completes_file=False)


def _fits(part: PartStored, file_bytes: int | None) -> bool:
    if file_bytes is None or is_small(file_bytes) or not 1 <= part.part <= part_count(file_bytes):
        return False
    first, last = part_range(file_bytes, part.part)
    return part.size_bytes == last - first and 0 <= part.crc32 < 2**32


def _is_ours(transfer: Transfer, file: FileStored, file_bytes: int | None) -> bool:
    """The key must be one that our grants gave, for this file and under this epoch."""
    return (
        file.key == object_key(transfer.scope_id, transfer.torrent_id, file.file, transfer.epoch)
        and file_bytes is not None
        and is_small(file_bytes)
        and file.size_bytes == file_bytes
        and 0 <= file.crc32 < 2**32
    )


async def _any_whole(tx: Tx, transfer: Transfer, sizes: dict[int, int]) -> bool:
    if not sizes:
        return False
    counts = await tx.execute(
        select(Part.file, func.count())
        .join(Object, (Object.transfer_id == Part.transfer_id) & (Object.file == Part.file))
        .where(Part.transfer_id == transfer.id, is_one_of(Part.file, sizes), Object.stored_at.is_(None))
        .group_by(Part.file)
    )
    return any(count >= part_count(sizes[file]) for file, count in counts.all())

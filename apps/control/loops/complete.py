"""Half of loop `finish`: parts become files.

all parts of a file ──► complete its upload ──┬── done ──► right size? ──► stored
                                              ├── no such upload ──► is the object there, whole? ──► stored
                                              └── a part is missing or another ──► forget it, try again
an agent says that an upload is gone ──► is it? ──► forget it and its parts
"""

import asyncio
import datetime as dt
from uuid import UUID

from msgspec import Struct
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Numeric, cast, delete, func, select, update

from control.db import Tx
from control.plane import Plane
from control.storage.errors import InvalidPart, NoSuchUpload
from control.transfers import release
from control.transfers.model import Object, Part, Transfer, is_doubted, locked
from telemetry import logs
from telemetry.correlation import correlated
from wire.failures import failure
from wire.parts import PART_MIN_BYTES, PARTS_MAX
from wire.states import ON_AGENT, TRANSFER_ENDED

log = logs.get(__name__)

WHO = "loop:finish"
AT_ONCE = 64
"""Files of one step; more come in the next."""
ABREAST = 8
"""Calls to the store at once."""
TRANSFERS_AT_ONCE = 32

MISSING = failure("parts_missing", "The store does not have all that was said to be stored.")

_FILES = Counter("control_files_completed_total", "Multipart uploads completed.", ["how"])

_PART_SIZE = func.greatest(PART_MIN_BYTES, func.ceil(Object.size_bytes / cast(PARTS_MAX, Numeric)))
_PARTS_WANTED = func.ceil(Object.size_bytes / _PART_SIZE)
"""`wire.parts`, in SQL."""
_PARTS_THERE = (
    select(func.count())
    .where(Part.transfer_id == Object.transfer_id, Part.file == Object.file)
    .correlate(Object)
    .scalar_subquery()
)
FULL = Object.stored_at.is_(None) & Object.upload_id.is_not(None) & (_PARTS_THERE >= _PARTS_WANTED)
"""All its parts are there, and it only waits to be completed."""


class Upload(Struct, frozen=True):
    """All its parts are there, as far as we know."""

    transfer: UUID
    file: int
    key: str
    upload_id: str
    size_bytes: int


class Whole(Struct, frozen=True):
    upload: Upload
    etag: str


class Broken(Struct, frozen=True):
    """What the database believes of this upload is not so. `parts` are those that the store does have; None: there is
    no such upload any more, and no object."""

    upload: Upload
    parts: dict[int, str] | None


async def full_uploads(plane: Plane, now: dt.datetime) -> bool:
    """Of transfers that are not over, whether they are on an agent or not: the end of a job has less to do then.
    True if there may be more."""
    async with plane.working() as tx:
        uploads = await _uploads(tx, FULL & Transfer.state.not_in(TRANSFER_ENDED), AT_ONCE)
    outcomes = await _complete_all(plane, uploads)
    for outcome in outcomes:
        await _write(plane, outcome, now)
    return len(uploads) == AT_ONCE


async def look_for_gone(plane: Plane, now: dt.datetime) -> None:
    """An agent's word alone is not enough; nobody is offered the transfer before."""
    async with plane.working() as tx:
        doubted = list(await tx.scalars(select(Transfer.id).where(is_doubted()).limit(TRANSFERS_AT_ONCE)))
        uploads = await _uploads(tx, Object.transfer_id.in_(doubted) & Object.stored_at.is_(None)) if doubted else []
    for upload in uploads:
        if (outcome := await _broken(plane, upload)).parts is None:
            await _write(plane, outcome, now)
    if doubted:
        async with plane.working() as tx:
            await tx.execute(update(Transfer).where(Transfer.id.in_(doubted), is_doubted()).values(failure_code=None))
        await plane.nudge("dispatch")


async def _uploads(tx: Tx, which: ColumnElement[bool], limit: int | None = None) -> list[Upload]:
    columns = (Object.transfer_id, Object.file, Object.key, Object.upload_id, Object.size_bytes)
    rows = await tx.execute(
        select(*columns)
        .join(Transfer, Transfer.id == Object.transfer_id)
        .where(which, Object.upload_id.is_not(None))
        .order_by(Object.opened_at)
        .limit(limit)
    )
    return [Upload(transfer, file, key, upload or "", size) for transfer, file, key, upload, size in rows.all()]


async def _complete_all(plane: Plane, uploads: list[Upload]) -> list[Whole | Broken]:
    abreast = asyncio.Semaphore(ABREAST)

    async def one(upload: Upload) -> Whole | Broken:
        async with abreast:
            return await _complete(plane, upload)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(upload)) for upload in uploads]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the store is away: the driver comes back
    return [task.result() for task in tasks]


async def _complete(plane: Plane, upload: Upload) -> Whole | Broken:
    async with plane.db.working() as tx:
        rows = await tx.execute(
            select(Part.part, Part.etag).where(Part.transfer_id == upload.transfer, Part.file == upload.file)
        )
        parts = list(rows.all())
    try:
        await plane.store.complete(upload.key, upload.upload_id, parts)
        how = "completed"
    except NoSuchUpload:
        how = "was_complete"  # by us before a crash, perhaps
    except InvalidPart:
        return await _broken(plane, upload)
    head = await plane.store.head(upload.key)
    if head is None or head.size_bytes != upload.size_bytes:
        log.warning("file.not_whole", key=upload.key, size=head.size_bytes if head else None, wanted=upload.size_bytes)
        return Broken(upload, None)
    _FILES.labels(how).inc()
    return Whole(upload, head.etag)


async def _broken(plane: Plane, upload: Upload) -> Broken:
    try:
        there = await plane.store.parts(upload.key, upload.upload_id)
    except NoSuchUpload:
        return Broken(upload, None)
    return Broken(upload, {part.part: part.etag for part in there})


async def _write(plane: Plane, outcome: Whole | Broken, now: dt.datetime) -> None:
    """Only if it still is the upload that we looked at."""
    upload = outcome.upload
    async with plane.working() as tx:
        transfer = await locked(tx, upload.transfer)
        if transfer is None:
            return
        same = (Object.transfer_id == upload.transfer, Object.file == upload.file, Object.upload_id == upload.upload_id)
        if isinstance(outcome, Whole):
            await tx.execute(
                update(Object).where(*same, Object.stored_at.is_(None)).values(stored_at=now, etag=outcome.etag)
            )
            return
        with correlated(transfer.correlation_id):
            log.warning("file.parts_missing", transfer=str(transfer.id), file=upload.file)
        if outcome.parts is None:
            await tx.execute(delete(Object).where(*same))  # its parts with it
        else:
            await _forget_missing(tx, upload, outcome.parts)
        if transfer.state in ON_AGENT:
            # Its agent believes what we believed; the next claim tells what is really there.
            await release.after_failure(tx, transfer, MISSING, plane.settings, now=now, who=WHO)
    await plane.nudge("dispatch")


async def _forget_missing(tx: Tx, upload: Upload, there: dict[int, str]) -> None:
    rows = await tx.scalars(select(Part).where(Part.transfer_id == upload.transfer, Part.file == upload.file))
    for part in rows.all():
        if there.get(part.part) != part.etag.strip('"'):
            await tx.delete(part)

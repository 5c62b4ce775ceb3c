"""Loop `finish`: parts become files, files a stored transfer. The agent's `done` is only a hint; what is counted here
is what the store has acknowledged.

    all parts of a file ──► complete its upload ──┬── done ──► right size? ──► stored
                                                  ├── no such upload ──► is the object there, whole? ──► stored
                                                  └── a part is missing or another ──► forget it, try again
    an agent says that an upload is gone ──► is it? ──► forget it and its parts
    small files, which agents put by themselves ──► are they there, whole? ──► if not, forget them
    objects of earlier epochs that nobody reported, uploads that nobody wrote down ──► removed
    all files stored ──► transfer stored ──► its jobs completed
"""

import asyncio
import datetime as dt
from uuid import UUID

from msgspec import Struct
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Numeric, Select, cast, delete, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, aliased

from control.db import Tx
from control.jobs import follow, selection
from control.jobs.model import Job
from control.jobs.selection import is_wanted
from control.plane import Plane
from control.storage.errors import InvalidPart, NoSuchUpload
from control.storage.keys import object_key, prefix
from control.torrents.model import File
from control.transfers import moves, release, seeds
from control.transfers.leftovers import Spared, bury, doomed, forget_unwanted
from control.transfers.model import Object, Part, Transfer, locked
from telemetry import logs
from telemetry.correlation import correlated
from wire.failures import failure
from wire.parts import PART_MIN_BYTES, PARTS_MAX
from wire.states import JOB_ACTIVE, ON_AGENT, TRANSFER_ENDED, TRANSFER_MOVES, Intent, TransferState

log = logs.get(__name__)

WHO = "loop:finish"
AT_ONCE = 64
"""Files of one step; more come in the next."""
FORGOTTEN_AT_ONCE = 10_000
"""Names in one statement: PostgreSQL takes 32,767 parameters."""
ABREAST = 8
"""Calls to the store at once."""
TRANSFERS_AT_ONCE = 32
UPLOAD_GONE = "upload_gone"
"""What agents say when the store knows nothing of an upload; asked about while the transfer waits for its next try."""

MISSING = failure("parts_missing", "The store does not have all that was said to be stored.")

_FILES = Counter("control_files_completed_total", "Multipart uploads completed.", ["how"])
_STORED = Counter("control_transfers_stored_total", "Transfers whose files are all stored.")


_PART_SIZE = func.greatest(PART_MIN_BYTES, func.ceil(Object.size_bytes / cast(PARTS_MAX, Numeric)))
_PARTS_WANTED = func.ceil(Object.size_bytes / _PART_SIZE)
"""`wire.parts`, in SQL."""
_PARTS_THERE = (
    select(func.count())
    .where(Part.transfer_id == Object.transfer_id, Part.file == Object.file)
    .correlate(Object)
    .scalar_subquery()
)
_FULL = Object.stored_at.is_(None) & Object.upload_id.is_not(None) & (_PARTS_THERE >= _PARTS_WANTED)


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


async def step(plane: Plane, now: dt.datetime) -> bool:
    async with plane.working() as tx:
        uploads = await _full_uploads(tx)
    outcomes = await _complete_all(plane, uploads)
    for outcome in outcomes:
        await _write(plane, outcome, now)
    await _look_for_gone(plane, now)
    async with plane.working() as tx:
        candidates = list(await tx.scalars(_said_to_be_done()))
    for transfer_id in candidates:
        await _conclude(plane, transfer_id, now)
    await _complete_some(plane, now)
    return len(uploads) == AT_ONCE


async def _full_uploads(tx: Tx) -> list[Upload]:
    """Of transfers that are not over, whether they are on an agent or not: the end of a job has less to do then."""
    return await _uploads(tx, _FULL & Transfer.state.not_in(TRANSFER_ENDED), AT_ONCE)


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


async def _look_for_gone(plane: Plane, now: dt.datetime) -> None:
    """The next epoch would go on with the same upload, and fail in the same way."""
    waiting = (Transfer.state == TransferState.WAITING) & (Transfer.failure_code == UPLOAD_GONE)
    async with plane.working() as tx:
        doubted = list(await tx.scalars(select(Transfer.id).where(waiting).limit(TRANSFERS_AT_ONCE)))
        uploads = await _uploads(tx, Object.transfer_id.in_(doubted) & Object.stored_at.is_(None)) if doubted else []
    for upload in uploads:
        if (outcome := await _broken(plane, upload)).parts is None:
            await _write(plane, outcome, now)
    if doubted:
        async with plane.working() as tx:
            await tx.execute(update(Transfer).where(Transfer.id.in_(doubted), waiting).values(failure_code=None))


def _said_to_be_done() -> Select[UUID]:
    """Agents say so; or all was stored when the last one died, and nobody was left to say it."""
    stored = exists().where(Object.transfer_id == Transfer.id, Object.file == File.index, Object.stored_at.is_not(None))
    left = exists().where(
        File.torrent_id == Transfer.torrent_id,
        is_wanted(),
        ~stored.correlate_except(Object),  # by itself it would look no further out than the files
    )
    orphaned = (Transfer.state == TransferState.WAITING) & (Transfer.epoch > 0) & ~left
    return (
        select(Transfer.id)
        .where(
            Transfer.go,
            (Transfer.done & Transfer.state.in_(ON_AGENT)) | orphaned,
        )
        .order_by(Transfer.id)
        .limit(TRANSFERS_AT_ONCE)
    )


async def _conclude(plane: Plane, transfer_id: UUID, now: dt.datetime) -> None:
    await _store_empty_files(plane, transfer_id, now)
    await _compare_with_store(plane, transfer_id)
    async with plane.working() as tx:
        transfer = await locked(tx, transfer_id)
        if transfer is None or not transfer.go or TransferState.STORED not in TRANSFER_MOVES[transfer.state]:
            return
        missing, open_full = await _missing(tx, transfer)
        with correlated(transfer.correlation_id):
            if not missing:
                transfer.stored_bytes = transfer.down_bytes = transfer.size_bytes or 0
                if transfer.epoch > 1:  # a grant of an earlier epoch may still bring something back
                    await bury(tx, transfer, now)
                await forget_unwanted(tx, transfer, now)
                given = await seeds.begin(tx, transfer, now)
                await moves.move(tx, transfer, TransferState.STORED, now=now, who=WHO, why="all_stored")
                if given:
                    await seeds.tell(tx, transfer, seeds.BEGAN, now=now, who=WHO)
                _STORED.inc()
                log.info("transfer.stored", transfer=str(transfer.id), bytes=transfer.size_bytes)
            elif not open_full and transfer.done:
                log.warning("transfer.not_done", transfer=str(transfer.id), files=missing)
                await release.after_failure(tx, transfer, MISSING, plane.settings, now=now, who=WHO)
        agent = transfer.agent_id
    if agent is not None:
        await plane.nudge_agent(agent)


async def _complete_some(plane: Plane, now: dt.datetime) -> None:
    """Of several jobs on one transfer each ends with its own files."""
    async with plane.working() as tx:
        ready = [
            (job.id, job.transfer_id)
            for job in (await tx.scalars(_sharing())).all()
            if await selection.is_complete(tx, job)
        ]
    for job_id, transfer_id in ready:
        await _forget_lost(plane, transfer_id, at_end=False)
        async with plane.working() as tx:
            transfer = await locked(tx, transfer_id)
            job = await tx.get(Job, job_id, with_for_update={"key_share": True}, populate_existing=True)
            if transfer is None or job is None or job.intent is not Intent.RUN or job.state not in JOB_ACTIVE:
                continue
            if await selection.is_complete(tx, job):
                await follow.one(tx, job, transfer, now=now, who=WHO, why="all_stored", complete=True)


def _sharing() -> Select[Job]:
    """Jobs that run beside another on a transfer that is not over."""
    other = aliased(Job)
    beside = exists().where(other.transfer_id == Job.transfer_id, other.id != Job.id, other.state.in_(JOB_ACTIVE))
    runs = (Job.intent == Intent.RUN) & Job.state.in_(JOB_ACTIVE) & beside
    going = Transfer.go & Transfer.state.not_in(TRANSFER_ENDED)
    return select(Job).join(Transfer, Transfer.id == Job.transfer_id).where(runs, going).limit(TRANSFERS_AT_ONCE)


async def _compare_with_store(plane: Plane, transfer_id: UUID) -> None:
    """Before the end. What an earlier epoch put and could not report any more goes, and uploads that no row names."""
    async with plane.db.working() as tx:
        transfer = await tx.get(Transfer, transfer_id)
        if transfer is None or (await _missing(tx, transfer))[0]:
            return
        unfinished = (Object.transfer_id == transfer_id) & Object.upload_id.is_not(None) & Object.stored_at.is_(None)
        in_use = frozenset(await tx.scalars(select(Object.upload_id).where(unfinished)))
    await _close_uploads(plane, prefix(transfer.scope_id, transfer.torrent_id), in_use)
    await _forget_lost(plane, transfer_id, at_end=True)


async def _forget_lost(plane: Plane, transfer_id: UUID, *, at_end: bool) -> None:
    """Of small files nobody but an agent has said that they are there: what is missing or has another size is
    forgotten, and put again. What an earlier epoch put and could not report any more goes."""
    async with plane.db.working() as tx:
        transfer = await tx.get(Transfer, transfer_id)
        if transfer is None:
            return
        small = (Object.transfer_id == transfer_id) & Object.upload_id.is_(None)
        said = dict((await tx.execute(select(Object.key, Object.size_bytes).where(small))).all())
        named = frozenset(await tx.scalars(select(Object.key).where(Object.transfer_id == transfer_id)))
    if not said and transfer.epoch == 1:
        return
    there = await plane.store.sizes(prefix(transfer.scope_id, transfer.torrent_id))
    over = transfer.epoch if at_end else transfer.epoch - 1  # what this epoch puts now is reported in a moment
    await plane.store.remove(doomed(there, Spared(over, named)))
    lost = [key for key, size in said.items() if there.get(key) != size]
    if lost:
        log.warning("transfer.files_missing", transfer=str(transfer_id), count=len(lost))
        async with plane.working() as tx:
            for first in range(0, len(lost), FORGOTTEN_AT_ONCE):
                some = Object.key.in_(lost[first : first + FORGOTTEN_AT_ONCE])
                await tx.execute(delete(Object).where(small, some))


async def _close_uploads(plane: Plane, below: str, in_use: frozenset[str | None]) -> None:
    """Whoever opened one was killed before writing it down; or the store was, before forgetting what it completed."""
    for upload in await plane.store.uploads(below):
        if upload.upload_id not in in_use:
            log.warning("upload.closed", key=upload.key)
            await plane.store.abort(upload.key, upload.upload_id)


async def _store_empty_files(plane: Plane, transfer_id: UUID, now: dt.datetime) -> None:
    """Agents put them like any small file; one that did not costs no second visit."""
    async with plane.db.working() as tx:
        transfer = await tx.get(Transfer, transfer_id)
        if transfer is None:
            return
        stored = exists().where(Object.transfer_id == transfer_id, Object.file == File.index)
        empty = _wanted_of(File.index, transfer_id).where(File.size_bytes == 0, ~stored)
        files = list(await tx.scalars(empty))
    for file in files:
        key = object_key(transfer.scope_id, transfer.torrent_id, file, transfer.epoch)
        etag = await plane.store.put_empty(key)
        async with plane.working() as tx:
            if (current := await locked(tx, transfer_id)) is None or current.epoch != transfer.epoch:
                return
            tx.add(
                Object(
                    transfer_id=transfer_id,
                    file=file,
                    scope_id=transfer.scope_id,
                    key=key,
                    size_bytes=0,
                    etag=etag,
                    crc32=0,
                    epoch=transfer.epoch,
                    opened_at=now,
                    stored_at=now,
                )
            )


def _wanted_of(column: ColumnElement[int] | InstrumentedAttribute[int], transfer_id: UUID) -> Select[int]:
    files = select(column).select_from(File).join(Transfer, Transfer.torrent_id == File.torrent_id)
    return files.where(Transfer.id == transfer_id, is_wanted())


async def _missing(tx: Tx, transfer: Transfer) -> tuple[int, int]:
    """Files that are not stored; and uploads that only wait to be completed."""
    stored = exists().where(Object.transfer_id == transfer.id, Object.file == File.index, Object.stored_at.is_not(None))
    missing = _wanted_of(func.count(), transfer.id).where(~stored)
    full = select(func.count()).select_from(Object).where(Object.transfer_id == transfer.id, _FULL)
    return await tx.scalar(missing) or 0, await tx.scalar(full) or 0

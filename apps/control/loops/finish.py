"""Loop `finish`: parts become files, files a stored transfer. The agent's `done` is only a hint; what is counted here
is what the store has acknowledged.

    all parts of a file, or an upload that is gone ──► `complete`
    small files, which agents put by themselves ──► are they there, whole? ──► if not, forget them
    objects of earlier epochs that nobody reported, uploads that nobody wrote down ──► removed
    all files stored ──► transfer stored ──► its jobs completed
"""

import datetime as dt
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from control.db import Tx
from control.jobs import follow, selection
from control.jobs.model import Job
from control.jobs.selection import is_wanted
from control.loops import complete
from control.loops.complete import FULL, MISSING, TRANSFERS_AT_ONCE, WHO
from control.plane import Plane
from control.storage.keys import object_key, prefix
from control.torrents.model import File
from control.transfers import moves, release, seeds
from control.transfers.leftovers import Spared, bury, doomed, forget_unwanted
from control.transfers.model import Object, Transfer, locked
from telemetry import logs
from telemetry.correlation import correlated
from wire.states import JOB_ACTIVE, ON_AGENT, TRANSFER_ENDED, TRANSFER_MOVES, Intent, TransferState

log = logs.get(__name__)

FORGOTTEN_AT_ONCE = 10_000
"""Names in one statement: PostgreSQL takes 32,767 parameters."""

_STORED = Counter("control_transfers_stored_total", "Transfers whose files are all stored.")


async def step(plane: Plane, now: dt.datetime) -> bool:
    more = await complete.full_uploads(plane, now)
    await complete.look_for_gone(plane, now)
    async with plane.working() as tx:
        candidates = list(await tx.scalars(_said_to_be_done()))
    for transfer_id in candidates:
        await _conclude(plane, transfer_id, now)
    await _complete_jobs(plane, now)
    return more


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


async def _complete_jobs(plane: Plane, now: dt.datetime) -> None:
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
    there = await plane.store.sizes(prefix(transfer.scope_id, transfer.torrent_id), named)
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
    full = select(func.count()).select_from(Object).where(Object.transfer_id == transfer.id, FULL)
    return await tx.scalar(missing) or 0, await tx.scalar(full) or 0

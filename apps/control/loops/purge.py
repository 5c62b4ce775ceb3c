"""Loop `purge`: what no job holds any more leaves the store, and stays gone.

    nobody wants the transfer ──► its rows go, its torrent's prefix gets a tombstone
    tombstone ──► swept at once ──► swept again when every grant has expired ──► gone
A grant that was given before can bring a small object back until it expires; hence the second sweep. A sweep spares
what belongs to a later epoch than the last unwanted one, and what a stored transfer names.
"""

from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Select, delete, exists, func, select

from control.db import Tx
from control.jobs.model import Job, holds_data, is_kept
from control.loops import driver
from control.plane import Plane
from control.storage.keys import parse_prefix
from control.torrents.model import Torrent
from control.transfers.leftovers import Spared, bury, doomed
from control.transfers.model import Object, Tombstone, Transfer, locked
from telemetry import logs
from wire.states import TRANSFER_ENDED, Intent, TransferState

log = logs.get(__name__)

AT_ONCE = 50
SWEEPS_AT_ONCE = 20
SLACK_S = 60
"""A PUT that began with the last second of its grant may take a while."""
EVERYTHING = 2**31
"""No epoch is that high: all below the prefix is unwanted."""

_PURGED = Counter("control_objects_purged_total", "Objects and open uploads removed from the store.", ["kind"])


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "purge"):
            return False
        unwanted = list(await tx.scalars(_unwanted()))
    for transfer_id in unwanted:
        await _let_go(plane, transfer_id, now)
    async with plane.working() as tx:
        tombstones = list(await tx.scalars(select(Tombstone).order_by(Tombstone.created_at)))
    grant_s = plane.settings.wait(plane.settings.grant_s + SLACK_S)
    for tombstone in [each for each in tombstones if is_due(each, now, grant_s)][:SWEEPS_AT_ONCE]:
        await _sweep(plane, tombstone, now, grant_s)
    return len(unwanted) == AT_ONCE


def is_due(tombstone: Tombstone, now: datetime, grant_s: float) -> bool:
    """Once at once, and once when no grant is good any more."""
    return tombstone.last_sweep_at < tombstone.created_at or is_last(tombstone, now, grant_s)


def is_last(tombstone: Tombstone, now: datetime, grant_s: float) -> bool:
    return now >= tombstone.created_at + timedelta(seconds=grant_s)


def _unwanted() -> Select[UUID]:
    """Over, and wanted by nobody; `go` is taken away with the bytes, so that it is done once. What is stored stays as
    long as any job holds it: who asks for it again is given it as it is. The row of a job that has expired stays."""
    wanting = exists().where(Job.transfer_id == Transfer.id, Job.removed_at.is_(None), Job.intent != Intent.STOP)
    kept = exists().where(Job.transfer_id == Transfer.id, is_kept())
    holding = exists().where(Job.transfer_id == Transfer.id, holds_data())
    return (
        select(Transfer.id)
        .where(
            Transfer.state.in_(TRANSFER_ENDED),
            ~wanting,
            ~kept | (Transfer.go & ((Transfer.state != TransferState.STORED) | ~holding)),
        )
        .order_by(Transfer.id)
        .limit(AT_ONCE)
    )


async def _let_go(plane: Plane, transfer_id: UUID, now: datetime) -> None:
    async with plane.working() as tx:
        # Locks in everybody's order: torrent, transfer. Who asks for the torrent anew waits, and finds it gone.
        torrent_id = await tx.scalar(select(Transfer.torrent_id).where(Transfer.id == transfer_id))
        torrent = await tx.scalar(select(Torrent).where(Torrent.id == torrent_id).with_for_update(key_share=True))
        transfer = await locked(tx, transfer_id)
        still = await tx.scalar(_unwanted().where(Transfer.id == transfer_id))
        if torrent is None or transfer is None or still is None:
            return
        await tx.execute(delete(Object).where(Object.transfer_id == transfer_id))  # their parts with them
        await bury(tx, transfer, now)
        transfer.go, transfer.down_bytes, transfer.stored_bytes = False, 0, 0
        await tx.flush()
        kept = exists().where(Job.transfer_id == transfer_id, is_kept())
        if not await tx.scalar(select(kept)):
            await tx.execute(delete(Job).where(Job.transfer_id == transfer_id))
            await tx.execute(delete(Transfer).where(Transfer.id == transfer_id))
            await _forget_torrent(tx, torrent.id)
    log.info("transfer.purged", transfer=str(transfer_id))


async def _forget_torrent(tx: Tx, torrent_id: UUID) -> None:
    used = (
        exists().where(Transfer.torrent_id == torrent_id)
        | exists().where(Job.torrent_id == torrent_id)
        | exists().where(Torrent.alias_of == torrent_id)
    )
    if not await tx.scalar(select(used)):
        await tx.execute(delete(Torrent).where(Torrent.id == torrent_id))  # its files with it


async def _sweep(plane: Plane, tombstone: Tombstone, now: datetime, grant_s: float) -> None:
    """Listed first, judged then: what comes into being in between has a higher epoch, and another name."""
    below = tombstone.prefix
    uploads = await plane.store.uploads(below)
    keys = await plane.store.listed(below)
    async with plane.working() as tx:
        spared = await _spared(tx, below)
    gone_uploads = set(doomed((upload.key for upload in uploads), spared))
    for upload in uploads:
        if upload.key in gone_uploads:
            await plane.store.abort(upload.key, upload.upload_id)
    gone = doomed(keys, spared)
    await plane.store.remove(gone)
    _PURGED.labels("upload").inc(len(gone_uploads))
    _PURGED.labels("object").inc(len(gone))
    async with plane.working() as tx:
        row = await tx.get(Tombstone, below, with_for_update=True)
        if row is None or row.created_at != tombstone.created_at:
            return  # renewed meanwhile
        if is_last(tombstone, now, grant_s):
            await tx.delete(row)
        else:
            row.last_sweep_at = now
    log.info("purge.swept", prefix=below, objects=len(gone), uploads=len(gone_uploads))


async def _spared(tx: Tx, below: str) -> Spared:
    _, torrent_id = parse_prefix(below)
    of_torrent = Transfer.torrent_id == torrent_id
    keys = select(Object.key).join(Transfer, Transfer.id == Object.transfer_id).where(of_torrent)
    named = frozenset(await tx.scalars(keys))
    if not await tx.scalar(select(exists().where(of_torrent))):
        return Spared(EVERYTHING, named)
    unwanted = select(func.max(Transfer.epoch)).where(
        of_torrent, Transfer.state.in_(TRANSFER_ENDED), ~Transfer.go | (Transfer.state == TransferState.STORED)
    )
    return Spared(await tx.scalar(unwanted) or 0, named)

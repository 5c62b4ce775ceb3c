"""Grants: signed URLs by which an agent puts exactly the bytes it asked for, for a quarter of an hour at most.

small file    one PUT, under a name that holds the epoch: what a dead epoch still puts is an orphan
large file    a part of the file's one multipart upload, which every epoch goes on with
"""

import datetime as dt
from collections.abc import Iterable

from prometheus_client import Counter
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from control.db import Tx
from control.errors import BadInput, Conflict, Unavailable
from control.plane import Plane
from control.storage.errors import StoreError
from control.storage.keys import object_key
from control.storage.store import OpenUpload, upload_mark
from control.transfers.held import held
from control.transfers.model import Object, Transfer
from control.transfers.stored import is_one_of, sizes_of
from telemetry import logs
from wire.ids import AgentId
from wire.messages import WANTS_MAX, Grant, Granted, Want, WantGrants
from wire.parts import is_small, part_count, part_range
from wire.states import Intent

log = logs.get(__name__)

_GRANTS = Counter("control_grants_total", "Signed URLs given to agents.", ["kind"])


async def grant(plane: Plane, agent: AgentId, asked: WantGrants, now: dt.datetime) -> Granted:
    if len(asked.wants) > WANTS_MAX:
        raise BadInput(f"At most {WANTS_MAX} grants at once.", code="too_many_wants")
    async with plane.working() as tx:
        transfer = await _wanted(tx, agent, asked)
        sizes = await sizes_of(tx, transfer, (want.file for want in asked.wants))
        _check(asked.wants, sizes)
        await _check_wanted(tx, transfer, sizes)
        objects = await _objects(tx, transfer, (want.file for want in asked.wants))
    large = {want.file for want in asked.wants if want.part}
    if missing := [file for file in sorted(large) if file not in objects or objects[file].upload_id is None]:
        objects |= await _open_uploads(plane, agent, asked, transfer, {file: sizes[file] for file in missing}, now)
    grants = [_sign(plane, transfer, want, objects, now) for want in asked.wants if not _is_stored(objects, want)]
    parts = sum(1 for each in grants if each.part)
    _GRANTS.labels("part").inc(parts)
    _GRANTS.labels("file").inc(len(grants) - parts)
    return Granted(grants)


async def _wanted(tx: Tx, agent: AgentId, asked: WantGrants) -> Transfer:
    transfer = await held(tx, agent, asked.transfer, asked.epoch, lock=False)
    if not transfer.go or transfer.intent is not Intent.RUN:
        raise Conflict("This transfer has no leave to store anything.", code="not_go")
    return transfer


def _check(wants: Iterable[Want], sizes: dict[int, int]) -> None:
    """A grant is for a part as `wire.parts` cuts it, or for a whole small file; for nothing else."""
    for want in wants:
        size = sizes.get(want.file)
        if size is None:
            raise BadInput(f"There is no file {want.file} to be stored.", code="bad_want")
        if is_small(size) is not (want.part == 0):
            raise BadInput(f"File {want.file} of {size} bytes is cut otherwise.", code="bad_want")
        first, last = part_range(size, want.part) if want.part else (0, size)
        if not 0 <= want.part <= part_count(size) or want.size_bytes != last - first:
            raise BadInput(f"File {want.file} has no part {want.part} of {want.size_bytes} bytes.", code="bad_want")
        if not 0 <= want.crc32 < 2**32:
            raise BadInput("A CRC-32 has 32 bits.", code="bad_want")


async def _check_wanted(tx: Tx, transfer: Transfer, files: Iterable[int]) -> None:
    """Neighbours of wanted files are on agents' disks in part, and what was wanted a moment ago may be whole there."""
    wanted = await tx.scalar(select(Transfer.files).where(Transfer.id == transfer.id))
    if wanted is not None and not set(files) <= set(wanted):
        raise Conflict("Not all of these files are wanted (any more).", code="not_go")


async def _objects(tx: Tx, transfer: Transfer, files: Iterable[int]) -> dict[int, Object]:
    wanted = is_one_of(Object.file, set(files))
    rows = await tx.scalars(select(Object).where(Object.transfer_id == transfer.id, wanted))
    return {row.file: row for row in rows}


async def _open_uploads(
    plane: Plane, agent: AgentId, asked: WantGrants, transfer: Transfer, sizes: dict[int, int], now: dt.datetime
) -> dict[int, Object]:
    """Between two short transactions; of two that open one for the same file the second loses, and aborts his."""
    opened: dict[int, OpenUpload] = {}
    try:
        for file in sizes:
            key = object_key(transfer.scope_id, transfer.torrent_id, file, transfer.epoch)
            opened[file] = OpenUpload(key, await plane.store.open_upload(key))
        async with plane.working() as tx:
            await held(tx, agent, asked.transfer, asked.epoch, lock=True)
            for file, upload in opened.items():
                await _keep_first(tx, transfer, file, sizes[file], upload, now)
            objects = await _objects(tx, transfer, sizes)
    except StoreError as failure:
        await _abort(plane, opened.values())
        log.warning("grants.store_away", transfer=str(transfer.id), reason=repr(failure))
        raise Unavailable("The store is away; ask again in a moment.", code="store_away", retry_after_s=1) from None
    except Conflict:
        await _abort(plane, opened.values())
        raise
    await _abort(plane, (upload for file, upload in opened.items() if objects[file].upload_id != upload.upload_id))
    return objects


async def _keep_first(
    tx: Tx, transfer: Transfer, file: int, size_bytes: int, upload: OpenUpload, now: dt.datetime
) -> None:
    row = {
        "transfer_id": transfer.id,
        "file": file,
        "scope_id": transfer.scope_id,
        "key": upload.key,
        "size_bytes": size_bytes,
        "epoch": transfer.epoch,
        "opened_at": now,
    }
    await tx.execute(insert(Object).values(row).on_conflict_do_nothing())
    await tx.execute(
        update(Object)
        .where(Object.transfer_id == transfer.id, Object.file == file, Object.upload_id.is_(None))
        .values(upload_id=upload.upload_id, key=upload.key, epoch=transfer.epoch)
        .execution_options(synchronize_session=False)
    )


async def _abort(plane: Plane, uploads: Iterable[OpenUpload]) -> None:
    for upload in uploads:
        try:
            await plane.store.abort(upload.key, upload.upload_id)
        except StoreError as failure:
            # Purged with the torrent's other leftovers.
            log.warning("grants.upload_left_open", key=upload.key, reason=repr(failure))


def _is_stored(objects: dict[int, Object], want: Want) -> bool:
    found = objects.get(want.file)
    return found is not None and found.stored_at is not None


def _sign(plane: Plane, transfer: Transfer, want: Want, objects: dict[int, Object], now: dt.datetime) -> Grant:
    expires_s = plane.settings.wait(plane.settings.grant_s)
    if not want.part:
        key, upload_id = object_key(transfer.scope_id, transfer.torrent_id, want.file, transfer.epoch), ""
    else:
        row = objects[want.file]
        assert row.upload_id is not None
        key, upload_id = row.key, row.upload_id
    put = plane.store.put_grant(
        key,
        size_bytes=want.size_bytes,
        crc32=want.crc32,
        now=now,
        expires_s=expires_s,
        part=want.part,
        upload_id=upload_id,
    )
    return Grant(
        file=want.file,
        part=want.part,
        url=put.url,
        headers=put.headers,
        key=key,
        upload=upload_mark(upload_id) if upload_id else "",
    )

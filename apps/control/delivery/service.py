"""Links: a signed, expiring way to one stored file."""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from control.jobs import quota, selection
from control.jobs import service as jobs
from control.jobs.model import Job
from control.plans import traffic
from control.plans.model import TrafficKind
from control.storage.store import Store
from control.torrents.model import File
from control.transfers.model import Object
from wire.filelist import FileKind
from wire.ids import OrgId
from wire.links import content_disposition, content_type
from wire.states import JobState
from wire.units import DAY_S, HOUR_S, MINUTE_S

LINK_S = HOUR_S
LINK_S_MIN = MINUTE_S
"""Shorter ones end before a download manager has begun."""
LINK_S_MAX = DAY_S
"""Nothing takes a signed link back; longer ones are shares, which can be revoked."""
INDEX_MAX = 2**31 - 1


class Ready(Struct, frozen=True):
    key: str
    path: str
    size_bytes: int


async def ready(tx: Tx, org: OrgId, job_id: UUID, index: int, ttl_s: int, actor: Actor, now: dt.datetime) -> Ready:
    """The object that the link will name."""
    if not LINK_S_MIN <= ttl_s <= LINK_S_MAX:
        raise BadInput(f"ttl_s is {LINK_S_MIN} to {LINK_S_MAX} seconds.", code="bad_ttl")
    whole = await jobs.get(tx, org, job_id)
    transfer = whole.transfer
    if whole.job.state is JobState.EXPIRED:
        raise Conflict("This job has expired, and its files with it: ask for the torrent again.", code="job_expired")
    found = (
        select(File, Object, selection.is_chosen())
        .select_from(File)
        .join(Job, Job.id == job_id)
        .outerjoin(Object, (Object.transfer_id == transfer.id) & (Object.file == File.index))
        .where(File.torrent_id == transfer.torrent_id, File.index == index, File.kind == FileKind.FILE)
    )
    row = (await tx.execute(found)).first() if 0 <= index <= INDEX_MAX else None
    if row is None:
        raise NotFound("There is no such file in this job.")
    file: File = row[0]
    stored: Object | None = row[1]  # an outer join's right side
    if not row[2]:
        raise Conflict("This job does not want this file: choose it first.", code="file_not_wanted")
    if stored is None or stored.stored_at is None:
        raise Conflict("This file is not in the store yet.", code="not_stored_yet")
    await _count(tx, org, stored, now + dt.timedelta(seconds=ttl_s), now)
    await audit.record(tx, actor, "link.made", f"job:{job_id}", now, file=index, ttl_s=ttl_s)
    return Ready(stored.key, file.path, stored.size_bytes)


async def _count(tx: Tx, org: OrgId, stored: Object, until: dt.datetime, now: dt.datetime) -> None:
    """The store delivers, and tells us nothing of it: a link counts as its file, once for as long as it is good."""
    await quota.lock(tx, org)
    row = select(Object).where(Object.transfer_id == stored.transfer_id, Object.file == stored.file)
    counted = await tx.scalar(row.with_for_update(key_share=True).execution_options(populate_existing=True))
    if counted is None or (counted.delivery_until is not None and counted.delivery_until > now):
        return
    await quota.check_delivery(tx, org, counted.size_bytes, now)
    counted.delivery_until = until
    await tx.flush()
    await traffic.add(tx, {org: counted.size_bytes}, TrafficKind.DELIVERY, now)


def sign(store: Store, what: Ready, ttl_s: int, now: dt.datetime) -> str:
    name = what.path.rpartition("/")[2]
    return store.link(
        what.key,
        disposition=content_disposition(name),
        content_type=content_type(name),
        now=now,
        expires_s=ttl_s,
    )

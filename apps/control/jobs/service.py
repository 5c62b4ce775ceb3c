"""Verbs on jobs: add, list, look at. What is done with one that is there is in `jobs.steer`.

Locks are taken in one order: organisation, torrent, transfer, jobs.
"""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Select, func, select, update

from control.audit import service as audit
from control.audit.model import Entry, Severity
from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.errors import BadInput, NotFound
from control.jobs import follow, holders, quota, selection
from control.jobs.model import Event, Job
from control.torrents import blocklist
from control.torrents import service as torrents
from control.torrents.model import File, Torrent
from control.torrents.sent import Sent, Wishes
from control.transfers import model as transfers
from control.transfers import release
from control.transfers.model import Object, Part, Seed, Transfer
from wire.addresses import filter_peers, filter_trackers, filter_web_seeds, parse_allow
from wire.events import JobEvent
from wire.filelist import FileKind
from wire.ids import JobId, OrgId, PersonId, new_id
from wire.messages import FileTold
from wire.states import (
    JOB_ACTIVE,
    Intent,
    JobState,
    TransferState,
)  # fmt: skip

ASKED_AGAIN = "asked_again"


class Whole(Struct, frozen=True):
    """A job with what it is about and what is done for it."""

    job: Job
    transfer: Transfer
    torrent: Torrent
    seed: Seed | None = None
    """While it is given to peers, and after."""


class Added(Struct, frozen=True):
    whole: Whole
    created: bool
    """False: the organisation has asked for this torrent already, and this is that job."""


class FileRow(Struct, frozen=True):
    file: File
    stored: bool
    wanted: bool
    expires_at: dt.datetime | None


async def add(
    tx: Tx,
    org: OrgId,
    person: PersonId,
    sent: Sent,
    settings: Settings,
    actor: Actor,
    correlation_id: str,
    now: dt.datetime,
) -> Added:
    await quota.lock(tx, org)
    torrent = await _asked_for(tx, org, sent, settings, now)
    asked_by = sent.hashes.known if sent.hashes else ()
    await blocklist.check(tx, *asked_by, torrent.v1, torrent.v2)
    asked, last = await _before(tx, org, torrent)
    if asked is not None:
        return Added(await get(tx, org, asked), created=False)
    await quota.check_open(tx, org)
    # Held, if the torrent had one: what it stored is not fetched twice, and its epochs go on, so that no object's name
    # is used twice.
    transfer = await transfers.locked(tx, last) if last else None
    is_plain = transfer is None and not torrent.metadata_known and sent.wishes == Wishes()
    if transfer is None:
        transfer = new_transfer(org, torrent, settings, correlation_id, now)
        tx.add(transfer)
        await tx.flush()
    else:
        await give_up_failed(tx, transfer)
        await take_up(tx, transfer, torrent, actor, ASKED_AGAIN, now)
        await _take_over(tx, transfer)
    job = new_job(org, person, sent, torrent, transfer, settings, correlation_id, now)
    if torrent.metadata_known:
        chosen = await selection.check(tx, transfer.torrent_id, sent.wishes.files)
        job.files, job.wanted_bytes = chosen.files, chosen.bytes
    tx.add(job)
    await tx.flush()
    follow.tell(tx, follow.told(job, None, now=now, who=actor.name, why="added"))
    if not is_plain:  # then a new transfer is as its one job wants it
        await holders.settle(tx, transfer, now=now, who=actor.name, why="added")
    if job.intent is Intent.RUN:
        await holders.allow(tx, transfer, now)
    await follow.one(tx, job, transfer, now=now, who=actor.name, why="added")
    await audit.write(tx, logged(actor, job, sent, now))
    await tx.flush()
    return Added(Whole(job, transfer, torrent), created=True)


async def _asked_for(tx: Tx, org: OrgId, sent: Sent, settings: Settings, now: dt.datetime) -> Torrent:
    if sent.torrent is not None:
        return await torrents.proven(tx, org, sent.torrent, now)
    if sent.hashes is not None:
        return await torrents.claimed(tx, org, sent.hashes, now)
    assert sent.url is not None
    if not filter_web_seeds([sent.url], parse_allow(settings.ranges_allowed(settings.pool))):
        raise BadInput("This link leads to an address that may not be contacted.", code="url_not_allowed")
    same = _whole(org).where(Torrent.url_hash == torrents.url_hash(sent.url), Job.state.in_(JOB_ACTIVE)).limit(1)
    row = (await tx.execute(same)).first()
    return row[2] if row else await torrents.of_url(tx, org, sent.url, now)


async def active(tx: Tx, org: OrgId, torrent: Torrent) -> UUID | None:
    """The job that asks for it already."""
    return await tx.scalar(_active(org, torrent))


def _active(org: OrgId, torrent: Torrent) -> Select[UUID]:
    mine = (Job.org_id == org, Job.removed_at.is_(None), Job.state.in_(JOB_ACTIVE))
    return select(Job.id).where(*mine, Job.torrent_id.in_(torrents.names_of(torrent))).limit(1)


async def _before(tx: Tx, org: OrgId, torrent: Torrent) -> tuple[UUID | None, UUID | None]:
    """The job that asks for it already, and the last transfer that it had; in one round trip."""
    last = select(Transfer.id).where(Transfer.torrent_id == torrent.id).order_by(Transfer.id.desc()).limit(1)
    both = select(_active(org, torrent).scalar_subquery(), last.scalar_subquery())
    asked, known = (await tx.execute(both)).one()
    return asked, known


async def take_up(tx: Tx, transfer: Transfer, torrent: Torrent, actor: Actor, why: str, now: dt.datetime) -> None:
    """Goes on with what was stopped or has failed; joins what is still there."""
    transfer.held = True
    if torrent.metadata_known:
        transfer.size_bytes = torrent.size_bytes  # `settle` counts what is wanted of it
    if transfer.state in (TransferState.FAILED, TransferState.STOPPED):
        await release.from_the_top(tx, transfer, now=now, who=actor.name, why=why)


async def give_up_failed(tx: Tx, transfer: Transfer, but: UUID | None = None) -> None:
    """Else an older job that failed would wake up beside the one that takes its transfer up again."""
    failed = select(Job).where(
        Job.transfer_id == transfer.id, Job.state == JobState.FAILED, Job.id.is_distinct_from(but)
    )
    for job in await tx.scalars(failed.with_for_update(key_share=True)):
        job.intent = Intent.STOP


async def _take_over(tx: Tx, transfer: Transfer) -> None:
    """What earlier jobs left in the store is the new one's, and goes with it."""
    kept = update(Job).where(Job.transfer_id == transfer.id, Job.data_kept)
    await tx.execute(kept.values(data_kept=False).execution_options(synchronize_session=False))


def new_transfer(org: OrgId, torrent: Torrent, settings: Settings, correlation_id: str, now: dt.datetime) -> Transfer:
    return Transfer(
        id=new_id(),
        scope_id=org,
        torrent_id=torrent.id,
        pool=settings.pool,
        intent=Intent.RUN,
        state=TransferState.WAITING,
        correlation_id=correlation_id,
        epoch=0,
        size_bytes=torrent.size_bytes,
        created_at=now,
        moved_at=now,
    )


def new_job(
    org: OrgId,
    person: PersonId,
    sent: Sent,
    torrent: Torrent,
    transfer: Transfer,
    settings: Settings,
    correlation_id: str,
    now: dt.datetime,
) -> Job:
    allow = parse_allow(settings.ranges_allowed(transfer.pool))
    choosing = Intent.PAUSE if torrent.metadata_known else Intent.CHOOSE
    return Job(
        id=JobId(new_id()),
        org_id=org,
        person_id=person,
        torrent_id=torrent.id,
        transfer_id=transfer.id,
        source=sent.source,
        intent=choosing if sent.wishes.paused else Intent.RUN,
        state=JobState.SUBMITTED,
        version=1,
        url=sent.url,
        name=sent.name or torrent.name or (str(sent.hashes.v1_hex or sent.hashes.v2_hex) if sent.hashes else "file"),
        trackers=filter_trackers(sent.trackers, allow),
        web_seeds=filter_web_seeds(sent.web_seeds, allow),
        peers=filter_peers(sent.peers, allow),
        files=sent.wishes.files,
        priority=sent.wishes.priority,
        sequential=sent.wishes.sequential,
        down_max=sent.wishes.down_max,
        up_max=sent.wishes.up_max,
        failure_code=None,
        failure_detail=None,
        correlation_id=correlation_id,
        created_at=now,
        updated_at=now,
        ended_at=None,
        removed_at=None,
    )


def logged(actor: Actor, job: Job, sent: Sent, now: dt.datetime) -> Entry:
    said = {"source": sent.source, "torrent": str(job.torrent_id)}
    return audit.entry(Severity.INFO, actor, "job.added", f"job:{job.id}", now, said)


def _whole(org: OrgId) -> Select[Job, Transfer, Torrent, Seed]:
    """Of this organisation, and on its list: everything else does not exist for it."""
    return (
        select(Job, Transfer, Torrent, Seed)
        .join(Transfer, Transfer.id == Job.transfer_id)
        .join(Torrent, Torrent.id == Job.torrent_id)
        .outerjoin(Seed, (Seed.transfer_id == Transfer.id) & (Seed.epoch == Transfer.epoch))
        .where(Job.org_id == org, Job.removed_at.is_(None))
    )


async def get(tx: Tx, org: OrgId, job: UUID) -> Whole:
    row = (await tx.execute(_whole(org).where(Job.id == job))).first()
    if row is None:
        raise NotFound("There is no such job.")
    return Whole(*row)


async def events(tx: Tx, org: OrgId, job: UUID, after: int, limit: int) -> list[Event]:
    await get(tx, org, job)
    found = select(Event).where(Event.job_id == job, Event.org_id == org, Event.version > after)
    return list(await tx.scalars(found.order_by(Event.version).limit(limit)))


async def files(tx: Tx, org: OrgId, job: UUID, after: int, limit: int) -> list[FileRow]:
    """Those with content, in the torrent's order."""
    found = (await get(tx, org, job)).transfer
    rows = (
        select(File, Object.stored_at, selection.is_chosen(), Job.expires_at)
        .select_from(File)
        .join(Job, Job.id == job)
        .outerjoin(Object, (Object.transfer_id == found.id) & (Object.file == File.index))
        .where(File.torrent_id == found.torrent_id, File.kind == FileKind.FILE, File.index > after)
        .order_by(File.index)
        .limit(limit)
    )
    return [
        FileRow(file, stored_at is not None, wanted, expires_at)
        for file, stored_at, wanted, expires_at in await tx.execute(rows)
    ]


async def begun(tx: Tx, transfer: Transfer, limit: int) -> list[FileTold]:
    """Files of which some parts are stored, for while no agent can be asked."""
    stored = func.sum(Part.size_bytes)
    rows = await tx.execute(
        select(Part.file, stored, stored)
        .join(Object, (Object.transfer_id == Part.transfer_id) & (Object.file == Part.file))
        .where(Part.transfer_id == transfer.id, Object.stored_at.is_(None))
        .group_by(Part.file)
        .order_by(Part.file)
        .limit(limit)
    )
    return [FileTold(file, int(down), int(kept)) for file, down, kept in rows.all()]


async def latest(tx: Tx, ids: Collection[UUID]) -> list[tuple[OrgId, JobEvent]]:
    """The newest event of each, as its row has it; for who may have missed it. `tx` sees every organisation."""
    rows = await tx.scalars(select(Job).where(Job.id.in_(ids)))
    return [
        (
            OrgId(job.org_id),
            JobEvent(
                job=JobId(job.id),
                version=job.version,
                state=job.state,
                at=job.updated_at,
                code=job.failure_code,
                removed=job.removed_at is not None,
            ),
        )
        for job in rows
    ]


async def locked(tx: Tx, org: OrgId, job_id: UUID) -> Whole:
    """Transfer first, then job: the order of everybody who moves them."""
    seen = await get(tx, org, job_id)
    transfer = await transfers.locked(tx, seen.transfer.id)
    job = await tx.scalar(
        select(Job)
        .where(Job.id == job_id, Job.removed_at.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if transfer is None or job is None:
        raise NotFound("There is no such job.")
    return Whole(job, transfer, seen.torrent, seen.seed)

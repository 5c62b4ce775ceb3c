"""All that an agent must know to run a transfer, put together from the torrent and the jobs that wait for it."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Select, select

from control.config import Settings
from control.db import Tx
from control.jobs.model import Job
from control.torrents.model import Torrent
from control.transfers.model import Object, Part, Transfer
from wire import addresses
from wire.ids import TransferId
from wire.messages import Pace, PartStored, Spec, Steer
from wire.states import Intent

TIERS_MAX = 64
WEB_SEEDS_MAX = 64
PEERS_MAX = 200
"""Of all jobs together; one torrent's own limits are `wire`'s."""


async def build(tx: Tx, transfer: Transfer, settings: Settings) -> Spec:
    torrent = (await tx.scalars(select(Torrent).where(Torrent.id == transfer.torrent_id))).one()
    has_info = await tx.scalar(select(Torrent.info.is_not(None)).where(Torrent.id == torrent.id))
    jobs = await holders(tx, transfer.id)
    ranges = settings.ranges_allowed(transfer.pool)
    allow = addresses.parse_allow(ranges)
    web_seeds = _once(seed for job in jobs for seed in job.web_seeds)
    return Spec(
        transfer=TransferId(transfer.id),
        epoch=transfer.epoch,
        correlation_id=transfer.correlation_id,
        v1=torrent.v1.hex() if torrent.v1 else None,
        v2=torrent.v2.hex() if torrent.v2 else None,
        name=torrent.name or (jobs[0].name if jobs else str(torrent.id)),
        trackers=addresses.filter_trackers(_tiers(jobs), allow)[:TIERS_MAX],
        web_seeds=addresses.filter_web_seeds(web_seeds, allow)[:WEB_SEEDS_MAX],
        peers=addresses.filter_peers(_once(peer for job in jobs for peer in job.peers), allow)[:PEERS_MAX],
        has_info=bool(has_info),
        go=transfer.go,
        allow=ranges,
        parts=await _parts(tx, transfer.id),
        files=list(await tx.scalars(_whole(transfer.id))),
        steer=(await steers(tx, [transfer.id]))[transfer.id],
        pace=Pace(transfer.down_share, transfer.up_share),
        url=next((job.url for job in jobs if job.url), None) if torrent.v1 is None and torrent.v2 is None else None,
    )


async def steers(tx: Tx, transfers: Iterable[UUID]) -> dict[UUID, Steer]:
    t = Transfer
    said = select(t.id, t.steer_rev, t.files, t.sequential, t.down_max, t.up_max, t.announces, t.gives)
    rows = await tx.execute(said.where(t.id.in_(transfers)))
    return {row[0]: Steer(*row[1:]) for row in rows.all()}


async def holders(tx: Tx, transfer_id: UUID) -> list[Job]:
    """Jobs that still want it, oldest first."""
    wanting = select(Job).where(Job.transfer_id == transfer_id, Job.intent != Intent.STOP, Job.removed_at.is_(None))
    return list(await tx.scalars(wanting.order_by(Job.id)))


def _tiers(jobs: Iterable[Job]) -> list[list[str]]:
    """One job's tiers after another's, each address once."""
    seen: set[str] = set()
    tiers = []
    for job in jobs:
        for tier in job.trackers:
            fresh = [url for url in _once(tier) if url not in seen]
            seen.update(fresh)
            if fresh:
                tiers.append(fresh)
    return tiers


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


async def _parts(tx: Tx, transfer_id: UUID) -> list[PartStored]:
    rows = await tx.execute(
        select(Part.file, Part.part, Part.size_bytes, Part.crc32, Part.etag)
        .join(Object, (Object.transfer_id == Part.transfer_id) & (Object.file == Part.file))
        .where(Part.transfer_id == transfer_id, Object.stored_at.is_(None))
        .order_by(Part.file, Part.part)
    )
    return [PartStored(*row) for row in rows.all()]


def _whole(transfer_id: UUID) -> Select[int]:
    stored = (Object.transfer_id == transfer_id) & Object.stored_at.is_not(None)
    return select(Object.file).where(stored).order_by(Object.file)

"""Metadata that an agent fetched: checked against the hash that was asked for, if there is one, kept, and judged.

peers ──► info dict ─────────────────────► judged ──► go, or no
URL ──┬─► what its server says of a file ──► judged ──► go, or no
      └─► a `.torrent` ──► judged, and back to the queue: the next claim is told trackers and all
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import or_, select, update

from control.config import Settings
from control.db import Tx
from control.errors import BadInput, Conflict, TooLarge
from control.jobs import blocked, holders, quota
from control.jobs.model import Job
from control.plane import Plane
from control.torrents import blocklist, reading
from control.torrents import service as torrents
from control.torrents.blocklist import BLOCKED
from control.torrents.model import Torrent
from control.transfers import moves, release
from control.transfers.held import held, torrent_of
from control.transfers.model import Transfer
from telemetry import logs
from wire.addresses import filter_trackers, filter_web_seeds, parse_allow
from wire.errors import BadRemote
from wire.failures import failure
from wire.ids import AgentId, OrgId
from wire.infohash import InfoHashes
from wire.messages import MetadataVerdict
from wire.metainfo import Info, Listing
from wire.metainfo import Torrent as WholeTorrent
from wire.remote import parse_remote
from wire.states import ON_AGENT, Intent
from wire.units import MIB
from wire.urls import name_of

log = logs.get(__name__)

INFO_BYTES_MAX = 32 * MIB

IS_TORRENT = "is_torrent"


class Known(Struct, frozen=True):
    scope: OrgId
    torrent: UUID
    hashes: InfoHashes | None
    """None: it was asked for by a URL, and whatever lies there is right."""


class Read(Struct, frozen=True):
    listing: Listing
    raw: bytes
    """What is kept of it."""
    torrent: WholeTorrent | None = None
    """A URL turned out to lead to its `.torrent`."""


async def give(
    plane: Plane, agent: AgentId, transfer_id: UUID, epoch: int, raw: bytes, now: dt.datetime
) -> MetadataVerdict:
    """Judged once; said again, the answer is the same."""
    if len(raw) > INFO_BYTES_MAX:
        raise TooLarge("An info dict has at most 32 MiB.")
    async with plane.working() as tx:
        known = await _asked_for(tx, await held(tx, agent, transfer_id, epoch, lock=False))
    read = await _read(raw, known)
    async with plane.working() as tx:
        # Locks in everybody's order: organisation, torrent, transfer, jobs.
        await quota.lock(tx, known.scope)
        await keep(tx, known.torrent, read)
        transfer = await held(tx, agent, transfer_id, epoch, lock=True)
        if known.hashes is None:
            await _tell_jobs(tx, plane.settings, transfer, read)
        verdict = await _judge(tx, transfer, read.listing, now, f"agent:{agent}")
        if read.torrent is not None and transfer.state in ON_AGENT:
            await release.after_handover(tx, transfer, now=now, who=f"agent:{agent}", why=IS_TORRENT)
            verdict = MetadataVerdict(go=False, code=IS_TORRENT)
    size = read.listing.total_bytes
    log.info("transfer.metadata", transfer=str(transfer_id), go=verdict.go, code=verdict.code, size=size)
    if read.torrent is not None:
        await plane.nudge("dispatch")
    return verdict


async def _read(raw: bytes, known: Known) -> Read:
    if known.hashes is not None:
        info = await reading.info(raw, known.scope)
        if not info.hashes.proves(known.hashes):
            raise BadInput("This is the info of another torrent.", code="metadata_mismatch")
        return Read(info, raw)
    if raw.startswith(b"{"):
        try:
            return Read(parse_remote(raw).listing(), raw)
        except BadRemote as bad:
            raise BadInput(bad.sentence, code=bad.code) from None
    torrent = await reading.torrent(raw, known.scope)
    return Read(torrent.info, torrent.raw_info, torrent)


async def _tell_jobs(tx: Tx, settings: Settings, transfer: Transfer, read: Read) -> None:
    """What a `.torrent` says beside its content belongs to whoever asked; and now there is a better name."""
    allow = parse_allow(settings.ranges_allowed(transfer.pool))
    jobs = select(Job).where(Job.transfer_id == transfer.id, Job.url.is_not(None)).order_by(Job.id)
    for job in await tx.scalars(jobs.with_for_update(key_share=True)):
        if job.name == name_of(job.url or ""):
            job.name = read.listing.name
        if read.torrent is not None:
            job.trackers = filter_trackers(read.torrent.trackers, allow)
            job.web_seeds = filter_web_seeds(read.torrent.web_seeds, allow)


async def raw_info(plane: Plane, agent: AgentId, transfer_id: UUID, epoch: int) -> bytes:
    async with plane.working() as tx:
        torrent = await torrent_of(tx, agent, transfer_id, epoch)
        raw = await tx.scalar(select(Torrent.info).where(Torrent.id == torrent))
    if raw is None:
        raise Conflict("The metadata is not known yet.", code="no_metadata")
    return raw


async def layers(plane: Plane, agent: AgentId, transfer_id: UUID, epoch: int) -> bytes:
    """Empty: whoever brought it in did not know them."""
    async with plane.working() as tx:
        torrent = await torrent_of(tx, agent, transfer_id, epoch)
        return await tx.scalar(select(Torrent.layers).where(Torrent.id == torrent)) or b""


async def keep(tx: Tx, torrent_id: UUID, read: Read) -> None:
    """Once: the torrent is locked, and what is known of it stays as it is."""
    torrent = (await tx.scalars(select(Torrent).where(Torrent.id == torrent_id).with_for_update(key_share=True))).one()
    if torrent.metadata_known:
        return
    if isinstance(read.listing, Info):
        await _link_hashes(tx, torrent, read.listing.hashes)
    await torrents.learn(tx, torrent, read.listing, read.raw, read.torrent.layers if read.torrent else None)


async def _link_hashes(tx: Tx, torrent: Torrent, hashes: InfoHashes) -> None:
    """Only an info dict that we hashed ourselves links a v1 and a v2 hash, or a URL with either. If other rows of the
    scope have such a hash already, the oldest keeps both names, and the younger become its aliases."""
    if (torrent.v1, torrent.v2) == (hashes.v1, hashes.v2):
        return
    if torrent.alias_of is not None:
        torrent.v1, torrent.v2 = hashes.v1, hashes.v2
        return
    names = [(Torrent.v1, hashes.v1)] if torrent.v1 is None else []
    names += [(Torrent.v2, hashes.v2)] if torrent.v2 is None else []
    same = or_(*(column == value for column, value in names if value is not None))
    others = await tx.scalars(
        select(Torrent)
        .where(Torrent.scope_id == torrent.scope_id, Torrent.alias_of.is_(None), Torrent.id != torrent.id, same)
        .order_by(Torrent.id)
        .with_for_update(key_share=True)
    )
    oldest, *younger = sorted((torrent, *others), key=lambda row: row.id)
    for each in younger:
        await tx.execute(update(Torrent).where(Torrent.alias_of == each.id).values(alias_of=oldest.id))
        each.alias_of = oldest.id
    await tx.flush()  # the younger leave the unique indexes before the oldest takes their hashes
    for each in (oldest, torrent):
        each.v1, each.v2 = hashes.v1, hashes.v2


async def _asked_for(tx: Tx, transfer: Transfer) -> Known:
    row = await tx.execute(select(Torrent.v1, Torrent.v2).where(Torrent.id == transfer.torrent_id))
    v1, v2 = row.one()
    hashes = InfoHashes(v1=v1, v2=v2) if v1 or v2 else None
    return Known(OrgId(transfer.scope_id), transfer.torrent_id, hashes)


async def _judge(tx: Tx, transfer: Transfer, listing: Listing, now: dt.datetime, who: str) -> MetadataVerdict:
    """Nothing is downloaded that would not be allowed."""
    if transfer.go:
        return MetadataVerdict(go=True)
    transfer.size_bytes = listing.total_bytes
    if isinstance(listing, Info) and await blocklist.is_blocked(tx, listing.hashes.known):
        await blocked.end(tx, transfer, now=now, who=who)
        return MetadataVerdict(go=False, code=BLOCKED.code)
    if (unfit := await holders.metadata_known(tx, transfer, now=now, who=who)) is not None:
        await moves.fail(tx, transfer, unfit, now=now, who=who)
        return MetadataVerdict(go=False, code=unfit.code)
    if transfer.intent is not Intent.RUN:
        return MetadataVerdict(go=False, code="not_wanted_yet")
    if (lack := await quota.why_not(tx, transfer, now)) is not None:
        await moves.fail(tx, transfer, failure(lack.code, lack.detail), now=now, who=who)
        return MetadataVerdict(go=False, code=lack.code)
    transfer.go = True
    return MetadataVerdict(go=True)

"""Metadata that an agent fetched from peers: checked against the hash that was asked for, kept, and judged."""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select, update

from control.db import Tx
from control.errors import BadInput, Conflict, TooLarge
from control.jobs import blocked, holders, quota
from control.plane import Plane
from control.torrents import blocklist, reading
from control.torrents import service as torrents
from control.torrents.blocklist import BLOCKED
from control.torrents.model import Torrent
from control.transfers import moves
from control.transfers.held import held
from control.transfers.model import Transfer
from telemetry import logs
from wire.failures import failure
from wire.ids import AgentId, OrgId, TransferId
from wire.infohash import InfoHashes
from wire.messages import MetadataVerdict
from wire.metainfo import Info
from wire.states import Intent
from wire.units import MIB

log = logs.get(__name__)

INFO_BYTES_MAX = 32 * MIB

QUOTA_SPENT = failure("quota_spent", "The torrent is larger than what is left of the quota.")
V2_ONLY = failure(torrents.V2_ONLY_CODE, torrents.V2_ONLY)


class Known(Struct, frozen=True):
    scope: OrgId
    torrent: UUID
    hashes: InfoHashes


async def give(
    plane: Plane, agent: AgentId, transfer_id: UUID, epoch: int, raw: bytes, now: dt.datetime
) -> MetadataVerdict:
    """Judged once; said again, the answer is the same."""
    if len(raw) > INFO_BYTES_MAX:
        raise TooLarge("An info dict has at most 32 MiB.")
    async with plane.working() as tx:
        known = await _asked_for(tx, await held(tx, agent, transfer_id, epoch, lock=False))
    info = await reading.info(raw, known.scope)
    if not info.hashes.proves(known.hashes):
        raise BadInput("This is the info of another torrent.", code="metadata_mismatch")
    async with plane.working() as tx:
        # Locks in everybody's order: organisation, torrent, transfer, jobs.
        await quota.lock(tx, known.scope)
        await keep(tx, known.torrent, info, raw)
        transfer = await held(tx, agent, transfer_id, epoch, lock=True)
        verdict = await _judge(tx, transfer, info, now, f"agent:{agent}")
    log.info("transfer.metadata", transfer=str(transfer_id), go=verdict.go, code=verdict.code, size=info.total_bytes)
    return verdict


async def raw_info(plane: Plane, agent: AgentId, transfer_id: UUID, epoch: int) -> bytes:
    async with plane.working() as tx:
        transfer = await held(tx, agent, transfer_id, epoch, lock=False)
        raw = await tx.scalar(select(Torrent.info).where(Torrent.id == transfer.torrent_id))
    if raw is None:
        raise Conflict("The metadata is not known yet.", code="no_metadata")
    return raw


async def keep(tx: Tx, torrent_id: UUID, info: Info, raw: bytes) -> None:
    """Once: the torrent is locked, and what is known of it stays as it is."""
    torrent = (await tx.scalars(select(Torrent).where(Torrent.id == torrent_id).with_for_update(key_share=True))).one()
    if torrent.metadata_known:
        return
    await _link_hashes(tx, torrent, info.hashes)
    await torrents.learn(tx, torrent, info, raw)


async def _link_hashes(tx: Tx, torrent: Torrent, hashes: InfoHashes) -> None:
    """Only an info dict that we hashed ourselves links a v1 and a v2 hash. If another row of the scope has the second
    hash already, the older keeps both names, and the younger becomes its alias."""
    if (torrent.v1, torrent.v2) == (hashes.v1, hashes.v2):
        return
    if torrent.alias_of is not None:
        torrent.v1, torrent.v2 = hashes.v1, hashes.v2
        return
    same = (Torrent.v1 == hashes.v1) if torrent.v1 is None else (Torrent.v2 == hashes.v2)
    other = await tx.scalar(
        select(Torrent)
        .where(Torrent.scope_id == torrent.scope_id, Torrent.alias_of.is_(None), Torrent.id != torrent.id, same)
        .with_for_update(key_share=True)
    )
    if other is not None:
        older, younger = sorted((torrent, other), key=lambda row: row.id)
        await tx.execute(update(Torrent).where(Torrent.alias_of == younger.id).values(alias_of=older.id))
        younger.alias_of = older.id
        await tx.flush()  # the younger leaves the unique indexes before the older takes its hash
        older.v1, older.v2 = hashes.v1, hashes.v2
    torrent.v1, torrent.v2 = hashes.v1, hashes.v2


async def _asked_for(tx: Tx, transfer: Transfer) -> Known:
    row = await tx.execute(select(Torrent.v1, Torrent.v2).where(Torrent.id == transfer.torrent_id))
    v1, v2 = row.one()
    return Known(OrgId(transfer.scope_id), transfer.torrent_id, InfoHashes(v1=v1, v2=v2))


async def _judge(tx: Tx, transfer: Transfer, info: Info, now: dt.datetime, who: str) -> MetadataVerdict:
    """Nothing is downloaded that would not be allowed."""
    if transfer.go:
        return MetadataVerdict(go=True)
    transfer.size_bytes = info.total_bytes
    if await blocklist.is_blocked(tx, info.hashes.known):
        await blocked.end(tx, transfer, now=now, who=who)
        return MetadataVerdict(go=False, code=BLOCKED.code)
    if info.hashes.v1 is None:
        await moves.fail(tx, transfer, V2_ONLY, now=now, who=who)
        return MetadataVerdict(go=False, code=V2_ONLY.code)
    if (failure := await holders.metadata_known(tx, transfer, now=now, who=who)) is not None:
        await moves.fail(tx, transfer, failure, now=now, who=who)
        return MetadataVerdict(go=False, code=failure.code)
    if transfer.intent is not Intent.RUN:
        return MetadataVerdict(go=False, code="not_wanted_yet")
    if not await quota.fits(tx, OrgId(transfer.scope_id), transfer.size_bytes, TransferId(transfer.id)):
        await moves.fail(tx, transfer, QUOTA_SPENT, now=now, who=who)
        return MetadataVerdict(go=False, code=QUOTA_SPENT.code)
    transfer.go = True
    return MetadataVerdict(go=True)

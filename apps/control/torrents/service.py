"""Torrents of a scope: found or made by a hash, and told what their info dict says.

A hash in a magnet is a claim. Two hashes become one torrent only when an info dict that we hashed has both; if each
was known as a torrent of its own, the younger becomes an alias of the older.
"""

import datetime as dt
import hashlib
from uuid import UUID

from sqlalchemy import Select, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from control.db import Tx
from control.torrents.model import File, Torrent
from wire.ids import OrgId, new_id
from wire.infohash import InfoHashes
from wire.metainfo import Listing
from wire.metainfo import Torrent as Metainfo

ROWS_AT_ONCE = 5_000
"""Of one INSERT, so that others get their turn in between."""


async def claimed(tx: Tx, scope: OrgId, hashes: InfoHashes, now: dt.datetime) -> Torrent:
    """The torrent that a magnet names, locked; made, if need be, with one of the hashes only."""
    if (found := await _found(tx, scope, hashes)) is not None:
        return found[0]
    return await _made(tx, named(scope, hashes, now))


def named(scope: OrgId, hashes: InfoHashes, now: dt.datetime) -> Torrent:
    """A new one, as a magnet claims it: with one of the hashes only."""
    return _new(scope, InfoHashes(v1=hashes.v1) if hashes.v1 else hashes, now)


async def proven(tx: Tx, scope: OrgId, sent: Metainfo, now: dt.datetime) -> Torrent:
    """The torrent of an info dict that we hashed ourselves, locked, and knowing all of it."""
    info = sent.info
    found = await _found(tx, scope, info.hashes) or [await _made(tx, _new(scope, info.hashes, now))]
    torrent, *others = found
    for other in others:
        await tx.execute(update(Torrent).where(Torrent.alias_of == other.id).values(alias_of=torrent.id))
        other.alias_of = torrent.id
    await tx.flush()  # the aliases must have let go of their hashes before this one takes them
    torrent.v1, torrent.v2 = info.hashes.v1, info.hashes.v2
    if not torrent.metadata_known:
        await learn(tx, torrent, info, sent.raw_info, sent.layers)
    elif sent.layers:
        new = Torrent.layers.is_(None)
        await tx.execute(update(Torrent).where(Torrent.id == torrent.id, new).values(layers=sent.layers))
    return torrent


async def of_url(tx: Tx, scope: OrgId, url: str, now: dt.datetime) -> Torrent:
    """A torrent of which nothing is known but where it, or its `.torrent`, lies. New each time: what lies there may
    have become another."""
    torrent = Torrent(id=new_id(), scope_id=scope, url_hash=url_hash(url), is_private=False, created_at=now)
    tx.add(torrent)
    await tx.flush()
    return torrent


def url_hash(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()


def names_of(torrent: Torrent) -> Select[UUID]:
    """The ids under which this torrent is known: its own, and its aliases'."""
    return select(Torrent.id).where(or_(Torrent.id == torrent.id, Torrent.alias_of == torrent.id))


async def _found(tx: Tx, scope: OrgId, hashes: InfoHashes) -> list[Torrent] | None:
    """By either hash, oldest first. The lock waits for a purge that is under way, and makes the next one wait."""
    known = ((Torrent.v1, hashes.v1), (Torrent.v2, hashes.v2))
    either = or_(*(column == value for column, value in known if value is not None))
    rows = await tx.scalars(
        select(Torrent)
        .where(Torrent.scope_id == scope, Torrent.alias_of.is_(None), either)
        .order_by(Torrent.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return list(rows) or None


def _new(scope: OrgId, hashes: InfoHashes, now: dt.datetime) -> Torrent:
    return Torrent(id=new_id(), scope_id=scope, v1=hashes.v1, v2=hashes.v2, is_private=False, created_at=now)


async def _made(tx: Tx, new: Torrent) -> Torrent:
    """ON CONFLICT waits for whoever makes the same row at the same time, and takes his."""
    row = {key: getattr(new, key) for key in ("id", "scope_id", "v1", "v2", "created_at", "is_private")}
    made: Torrent | None = await tx.scalar(upsert(Torrent).values(row).on_conflict_do_nothing().returning(Torrent))
    if made is not None:
        return made
    found = await _found(tx, OrgId(new.scope_id), InfoHashes(v1=new.v1, v2=new.v2))
    assert found, "or there would have been no conflict"
    return found[0]


async def learn(tx: Tx, torrent: Torrent, listing: Listing, raw: bytes, layers: bytes | None = None) -> None:
    """Once; what is known of a torrent stays as it is."""
    torrent.info, torrent.layers = raw, layers
    torrent.name, torrent.size_bytes, torrent.is_private = listing.name, listing.total_bytes, listing.is_private
    torrent.files_count = sum(1 for _ in listing.content)
    await tx.flush()
    for first in range(0, len(listing.files), ROWS_AT_ONCE):
        await tx.execute(insert(File), _rows(torrent, listing, first))


def _rows(torrent: Torrent, listing: Listing, first: int) -> list[dict[str, object]]:
    return [
        {
            "torrent_id": torrent.id,
            "index": file.index,
            "scope_id": torrent.scope_id,
            "path": "/".join(file.path),
            "size_bytes": file.size_bytes,
            "kind": file.kind.value,
        }
        for file in listing.files[first : first + ROWS_AT_ONCE]
    ]

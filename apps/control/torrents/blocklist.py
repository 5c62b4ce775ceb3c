"""Verbs on the blocklist: is a hash on it, put some on it, take some off. What has one already loop `blocked` ends."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, insert

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Forbidden
from control.torrents.model import Block
from wire import errors as wire_errors
from wire.failures import FAILURES, failure
from wire.magnet import hashes_in

BLOCKED = failure("torrent_blocked", "An info-hash of this torrent is on the blocklist.")
REASON_CHARS_MAX = 500
HASHES_MAX = 100_000
"""Of one call; the longest lists that are passed around have a few ten thousand."""
ROWS_AT_ONCE = 5_000
TOLD_MAX = 20
"""Hashes named in one row of the log; of more it says how many."""

_ASK = select(func.blocked(bindparam("hashes", type_=ARRAY(BYTEA))))


class Blocked(Struct, frozen=True):
    added: int
    known: int
    """Were on it already, and keep their reason."""


async def is_blocked(tx: Tx, hashes: Iterable[bytes]) -> bool:
    return (await tx.execute(_ASK, {"hashes": list(hashes)})).first() is not None


async def check(tx: Tx, *hashes: bytes | None) -> None:
    if await is_blocked(tx, {each for each in hashes if each is not None}):
        raise Forbidden(FAILURES[BLOCKED.code].sentence, code=BLOCKED.code)


def read(texts: Iterable[str]) -> list[bytes]:
    """Hashes as people write them, each once, in order; a magnet may name two."""
    found: dict[bytes, None] = {}
    for place, text in enumerate(texts, 1):
        try:
            found |= dict.fromkeys(hashes_in(text).known)
        except wire_errors.BadInput as bad:
            raise BadInput(f"No. {place}: {bad.sentence}", code="bad_hash") from None
    if not 0 < len(found) <= HASHES_MAX:
        raise BadInput(f"Name 1 to {HASHES_MAX:,} info-hashes.", code="bad_hash")
    return list(found)


def clean_reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 0 < len(reason) <= REASON_CHARS_MAX or not reason.isprintable():
        raise BadInput(f"A reason has 1 to {REASON_CHARS_MAX} printable characters.", code="bad_reason")
    return reason


async def block(
    tx: Tx, reasons: Mapping[bytes, str], actor: Actor, now: dt.datetime, case: UUID | None = None
) -> Blocked:
    """`tx` sees every organisation. Whoever calls nudges the loop."""
    made = {"blocked_by": actor.name, "case_id": case, "created_at": now, "settled": False}
    rows = [{"hash": each, "reason": reason} | made for each, reason in sorted(reasons.items())]
    added: list[bytes] = []
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = insert(Block).values(rows[first : first + ROWS_AT_ONCE]).on_conflict_do_nothing()
        added += await tx.scalars(some.returning(Block.hash))
    if added:
        why = sorted({reasons[each] for each in added})[:TOLD_MAX]
        await _record(tx, actor, "torrent.blocked", added, now, reasons=why, case=case)
    return Blocked(len(added), len(rows) - len(added))


async def unblock(
    tx: Tx, hashes: Collection[bytes], reason: str, actor: Actor, now: dt.datetime, case: UUID | None = None
) -> int:
    """May be asked for again; what was purged does not come back by itself."""
    asked, gone = sorted(hashes), dict[bytes, str]()
    for first in range(0, len(asked), ROWS_AT_ONCE):
        some = Block.hash.in_(asked[first : first + ROWS_AT_ONCE])
        rows = await tx.execute(delete(Block).where(some).returning(Block.hash, Block.reason))
        gone |= dict(rows.all())
    if gone:
        before = sorted(set(gone.values()))[:TOLD_MAX]
        await _record(tx, actor, "torrent.unblocked", gone, now, reason=reason, before=before, case=case)
    return len(gone)


async def _record(tx: Tx, actor: Actor, action: str, hashes: Collection[bytes], now: dt.datetime, **why: Any) -> None:
    """One row, however many there are."""
    named = [each.hex() for each in sorted(hashes)]
    target = f"torrent:{named[0]}" if len(named) == 1 else "blocklist"
    told = {key: value for key, value in why.items() if value is not None}
    await audit.record(tx, actor, action, target, now, count=len(named), hashes=named[:TOLD_MAX], **told)


class Place(Struct, frozen=True):
    at: dt.datetime
    hash: bytes


async def listed(tx: Tx, asked: bytes | None, before: Place | None, limit: int) -> list[Block]:
    """Newest first; or the one that is asked for."""
    wanted: list[ColumnElement[bool]] = []
    if asked is not None:
        wanted.append(Block.hash == asked)
    if before is not None:
        wanted.append(tuple_(Block.created_at, Block.hash) < (before.at, before.hash))
    found = select(Block).where(*wanted).order_by(Block.created_at.desc(), Block.hash.desc())
    return list(await tx.scalars(found.limit(limit)))

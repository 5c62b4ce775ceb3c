"""The chain: how a row of the log is sealed, and what a seal says about damage. Pure.

    row ──SHA-256──► row_hash ─┐
    previous seal's hash ──────┼──SHA-256──► hash ──► the next seal's `previous`
    entry id, time of sealing ─┘

A seal holds itself (its hash is that of its fields), its row (row_hash) and its place (`previous`): so a changed row,
a changed seal, a seal taken out and two exchanged are told apart, and one break does not hide the next. Whoever can
write every hash anew up to the end is found by a hash that was noted elsewhere (`--expect`).
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import Struct

GENESIS = bytes(32)
"""What the first seal follows."""
FORMAT = "seedlift audit 1"
"""Opens every row's content: another order or another set of fields is another format."""
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


class Row(Struct, frozen=True):
    """What is sealed of a row: everything. `detail` is PostgreSQL's own text of it, which has one spelling for each
    value (keys sorted, numbers as they stand), so no second reading of JSON can differ."""

    id: int
    at: dt.datetime
    org_id: UUID | None
    actor: str
    action: str
    target: str
    request_id: str | None
    ip: str | None
    severity: str
    detail: str


class Link(Struct, frozen=True):
    """A seal, as it stands in its table."""

    seq: int
    entry_id: int
    sealed_at: dt.datetime
    row_hash: bytes
    previous: bytes
    hash: bytes


class Damage(StrEnum):
    ROW_CHANGED = "row_changed"
    ROW_REMOVED = "row_removed"
    ROW_PUT_IN = "row_put_in"
    SEAL_CHANGED = "seal_changed"
    SEAL_REMOVED = "seal_removed"
    REORDERED = "reordered"


class Break(Struct, frozen=True):
    damage: Damage
    seq: int | None
    entry_id: int | None
    said: str


def row_hash(row: Row) -> bytes:
    at = (row.at - EPOCH) // MICROSECOND
    fields = (row.org_id, row.actor, row.action, row.target, row.request_id, row.ip, row.severity, row.detail)
    return hashlib.sha256(msgspec.json.encode((FORMAT, row.id, at, *fields))).digest()


def link_hash(previous: bytes, entry_id: int, sealed_at: dt.datetime, hash_of_row: bytes) -> bytes:
    """Without `seq`: a seal's place is given by what it follows, so that one moved elsewhere still holds itself."""
    at = (sealed_at - EPOCH) // MICROSECOND
    return hashlib.sha256(previous + _signed(entry_id) + _signed(at) + hash_of_row).digest()


def _signed(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def seal(last: Link | None, rows: Iterable[Row], now: dt.datetime) -> Iterator[Link]:
    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
    for row in rows:
        seq, of_row = seq + 1, row_hash(row)
        link = Link(seq, row.id, now, of_row, previous, link_hash(previous, row.id, now, of_row))
        yield link
        previous = link.hash


def holds(link: Link) -> bool:
    return link.hash == link_hash(link.previous, link.entry_id, link.sealed_at, link.row_hash)


def judge_row(link: Link, row: Row | None) -> Break | None:
    if row is None:
        return Break(Damage.ROW_REMOVED, link.seq, link.entry_id, "the row that was sealed is gone")
    if row_hash(row) != link.row_hash:
        return Break(Damage.ROW_CHANGED, link.seq, link.entry_id, "the row is not what was sealed")
    return None


def judge_place(before: Link | None, link: Link, *, follows_another: bool) -> Break | None:
    """`follows_another`: some seal, wherever it stands, has the hash that this one follows."""
    expected = before.seq + 1 if before else 1
    if link.seq != expected:
        missing = f"seal {expected}" if link.seq == expected + 1 else f"seals {expected} to {link.seq - 1}"
        return Break(Damage.SEAL_REMOVED, expected, None, f"{missing} missing")
    if not holds(link):
        return Break(Damage.SEAL_CHANGED, link.seq, link.entry_id, "the seal's hash is not that of its fields")
    if link.previous == (before.hash if before else GENESIS) or (before is not None and not holds(before)):
        return None  # in its place; or the one before is no measure, and was told of
    if follows_another:
        return Break(Damage.REORDERED, link.seq, link.entry_id, "the seal follows another than the one before it")
    return Break(Damage.SEAL_REMOVED, link.seq, link.entry_id, "what the seal followed is gone, or was written anew")

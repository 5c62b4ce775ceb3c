"""Verifying the log: walks the chain and the rows, a page at a time, and tells every break.

Straight on the database: what an api says of its own log is worth as much as that api. Each page is one short
transaction, so a log of any size takes bounded memory and stands in nobody's way; rows written meanwhile do not matter.
"""

import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from msgspec import Struct, field
from sqlalchemy import exists, func, select

from control.audit import reading
from control.audit.chain import GENESIS, Break, Damage, Link, judge_place, judge_row
from control.audit.model import Entry, Seal, Unsealed
from control.db import Database, Tx

PAGE = 2_000
BREAKS_KEPT = 100
"""Told one by one; of more only their number is."""
BEFORE_ALL = -(2**63)


class Verified(Struct, kw_only=True):
    sealed: int = 0
    head: Link | None = None
    breaks: list[Break] = field(default_factory=list)
    """The first ones."""
    counts: Counter[Damage] = field(default_factory=Counter)
    unsealed: int = 0
    unsealed_since: dt.datetime | None = None
    expected: str | None = None
    """The hash that was noted earlier; `expected_at` is the seal that has it."""
    expected_at: int | None = None

    @property
    def whole(self) -> bool:
        return not self.counts and (self.expected is None or self.expected_at is not None)

    def add(self, found: Break | None) -> None:
        if found is not None:
            self.counts[found.damage] += 1
            if len(self.breaks) < BREAKS_KEPT:
                self.breaks.append(found)


async def verify(db: Database, expected: str | None = None) -> Verified:
    said = Verified(expected=expected)
    await _seals(db, said)
    async for entry_id in _rows_nobody_sealed(db):
        sentence = "no seal covers the row and it waits for none: it came past the log's triggers, or its seal is gone"
        said.add(Break(Damage.ROW_PUT_IN, None, entry_id, sentence))
    await _tail(db, said)
    return said


async def _seals(db: Database, said: Verified) -> None:
    before: Link | None = None
    while True:
        page = (
            select(*reading.LINK, *reading.CONTENT)
            .outerjoin(Entry, Entry.id == Seal.entry_id)
            .where(Seal.seq > (before.seq if before else 0))
            .order_by(Seal.seq)
            .limit(PAGE)
        )
        async with db.working() as tx:
            rows = (await tx.execute(page)).all()
            for found in rows:
                link, row = reading.link(found), reading.content(found)
                said.add(judge_row(link, row if found[len(reading.LINK)] is not None else None))
                if (broken := judge_place(before, link, follows_another=False)) is not None:
                    follows = await _is_hash(tx, link.previous)
                    said.add(judge_place(before, link, follows_another=True) if follows else broken)
                if link.hash.hex() == said.expected:
                    said.expected_at = link.seq
                before = link
        said.sealed += len(rows)
        if len(rows) < PAGE:
            said.head = before
            return


async def _is_hash(tx: Tx, previous: bytes) -> bool:
    return previous == GENESIS or bool(await tx.scalar(select(exists().where(Seal.hash == previous))))


async def _rows_nobody_sealed(db: Database) -> AsyncIterator[int]:
    """A row's commit brings its place among the waiting, the seal's takes it away: each page sees one or the other."""
    after = BEFORE_ALL
    while True:
        page = (
            select(Entry.id, Seal.seq, Unsealed.entry_id)
            .outerjoin(Seal, Seal.entry_id == Entry.id)
            .outerjoin(Unsealed, Unsealed.entry_id == Entry.id)
            .where(Entry.id > after)
            .order_by(Entry.id)
            .limit(PAGE)
        )
        async with db.working() as tx:
            rows = (await tx.execute(page)).all()
        for entry_id, seq, waiting in rows:
            if seq is None and waiting is None:
                yield entry_id
            after = entry_id
        if len(rows) < PAGE:
            return


async def _tail(db: Database, said: Verified) -> None:
    async with db.working() as tx:
        waiting = select(func.count(), func.min(Entry.at)).join_from(Unsealed, Entry, Entry.id == Unsealed.entry_id)
        said.unsealed, said.unsealed_since = (await tx.execute(waiting)).one()
        gone = select(Unsealed.entry_id).where(~exists().where(Entry.id == Unsealed.entry_id))
        for entry_id in await tx.scalars(gone.order_by(Unsealed.entry_id).limit(PAGE)):
            said.add(Break(Damage.ROW_REMOVED, None, entry_id, "the row is gone, before it was sealed"))


def lines(said: Verified) -> Iterator[str]:
    """For a person to read, and to note the head of."""
    yield f"sealed    {said.sealed} rows" + (f", the last by seal {said.head.seq}" if said.head else "")
    since = f", since {said.unsealed_since:%Y-%m-%dT%H:%M:%SZ}" if said.unsealed_since else ""
    yield f"unsealed  {said.unsealed} rows{since}"
    if said.head is not None:
        yield f"head      {said.head.hash.hex()}"
    if said.expected is not None:
        where = f"is seal {said.expected_at}" if said.expected_at else "is no seal's: the chain was cut or written anew"
        yield f"expected  {said.expected} {where}"
    for damage, count in sorted(said.counts.items()):
        yield f"{damage}: {count}"
    for place, found in enumerate(said.breaks):
        at = " ".join(f"{what} {n}" for what, n in (("seal", found.seq), ("row", found.entry_id)) if n is not None)
        yield f"{'first break' if place == 0 else 'break'}: {found.damage}, {at}: {found.said}"
    yield "the log is whole" if said.whole else "the log is NOT whole"

"""Verbs on the feed: number what was committed, read on from a place."""

import datetime as dt
from collections.abc import Collection

from sqlalchemy import func, select, update

from control.db import Tx
from control.feed.model import EventType, FeedRow
from wire.ids import OrgId
from wire.units import DAY_S

KEPT_S = 30 * DAY_S
"""Whoever reads on after a longer pause is told that something may be missing."""


async def number(tx: Tx, limit: int) -> list[FeedRow]:
    """Gives what is committed and has no number yet the next ones, in the order of writing.

    One at a time: the caller holds the loop's lock until its commit is visible. So a number never becomes visible after
    a higher one, and who reads on from a number has seen all below it."""
    new = select(FeedRow.id).where(FeedRow.seq.is_(None)).order_by(FeedRow.id).limit(limit).subquery()
    numbers = select(new.c.id, func.nextval("feed_seq").label("seq")).order_by(new.c.id).cte("numbers")
    numbered = (
        update(FeedRow).where(FeedRow.id == numbers.c.id).values(seq=numbers.c.seq)
        .returning(FeedRow).execution_options(synchronize_session=False)
    )  # fmt: skip
    return sorted(await tx.scalars(numbered), key=lambda row: row.seq or 0)


async def after(
    tx: Tx, org: OrgId, last: int, types: Collection[EventType], since: dt.datetime | None, limit: int
) -> list[FeedRow]:
    """Oldest first."""
    found = select(FeedRow).where(FeedRow.org_id == org, FeedRow.seq > last)
    if types:
        found = found.where(FeedRow.type.in_(types))
    if since is not None:
        found = found.where(FeedRow.at >= since)
    return list(await tx.scalars(found.order_by(FeedRow.seq).limit(limit)))


async def newest(tx: Tx, org: OrgId) -> int:
    """Of the organisation's; 0: there is none."""
    return await tx.scalar(select(func.max(FeedRow.seq)).where(FeedRow.org_id == org)) or 0

"""Traffic by month: what agents bring into the store, and what is fetched from it."""

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from control.db import Tx
from control.plans.model import Traffic, TrafficKind


def month_of(now: dt.datetime) -> dt.date:
    """By its first day, in UTC."""
    return now.astimezone(dt.UTC).date().replace(day=1)


async def add(tx: Tx, bytes_of: Mapping[UUID, int], kind: TrafficKind, now: dt.datetime) -> None:
    """Last in a transaction, and in one order: all agents of an organisation write into one row."""
    rows = [
        {"org_id": org, "month": month_of(now), "kind": kind, "bytes": count}
        for org, count in sorted(bytes_of.items())
        if count
    ]
    if rows:
        new = insert(Traffic).values(rows)
        total = Traffic.bytes + new.excluded.bytes
        await tx.execute(new.on_conflict_do_update(index_elements=["org_id", "month", "kind"], set_={"bytes": total}))


async def of_month(tx: Tx, org: UUID, now: dt.datetime) -> dict[TrafficKind, int]:
    rows = await tx.execute(
        select(Traffic.kind, Traffic.bytes).where(Traffic.org_id == org, Traffic.month == month_of(now))
    )
    return dict.fromkeys(TrafficKind, 0) | dict(rows.all())

"""Verbs on announcements: make one, take it back, list them; those that hold now are for everybody."""

import datetime as dt
from uuid import UUID

from sqlalchemy import or_, select

from control.announcements.model import Announcement, Weight
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, NotFound
from wire.ids import new_id

SHOWN_MAX = 20
"""More at once nobody reads."""
LISTED_MAX = 200


async def current(tx: Tx, now: dt.datetime) -> list[Announcement]:
    holds = (Announcement.from_at <= now) & or_(Announcement.until_at.is_(None), Announcement.until_at > now)
    return list(await tx.scalars(select(Announcement).where(holds).order_by(Announcement.id.desc()).limit(SHOWN_MAX)))


async def listed(tx: Tx) -> list[Announcement]:
    """Past and future ones too, the newest first."""
    return list(await tx.scalars(select(Announcement).order_by(Announcement.id.desc()).limit(LISTED_MAX)))


async def make(
    tx: Tx, text: str, weight: Weight, begins: dt.datetime, until: dt.datetime | None, actor: Actor, now: dt.datetime
) -> Announcement:
    if not text.strip():
        raise BadInput("An announcement says something.", code="empty_text")
    if until is not None and until <= max(begins, now):
        raise BadInput("It would be over before it begins.", code="bad_time")
    made = Announcement(
        id=new_id(),
        text=text.strip(),
        weight=weight,
        from_at=begins,
        until_at=until,
        made_by=actor.name,
        created_at=now,
    )
    tx.add(made)
    await audit.record(tx, actor, "announcement.made", f"announcement:{made.id}", now, text=made.text, until=until)
    await tx.flush()
    return made


async def take_back(tx: Tx, announcement: UUID, actor: Actor, now: dt.datetime) -> Announcement:
    """Shown to nobody from now on; the row stays. Safe to repeat."""
    found = select(Announcement).where(Announcement.id == announcement).with_for_update()
    row = await tx.scalar(found)
    if row is None:
        raise NotFound("There is no such announcement.")
    if row.until_at is None or row.until_at > now:
        before, row.until_at = row.until_at, now
        row.from_at = min(row.from_at, now)
        target = f"announcement:{announcement}"
        await audit.record(tx, actor, "announcement.taken_back", target, now, before={"until": before})
    await tx.flush()
    return row

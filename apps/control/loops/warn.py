"""Loop `warn`: owners and admins of an organisation hear once that 80 or 100 % of a limit are used.

A warning is remembered until less is used again, or, for traffic, until the month is over.
"""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from control.accounts import members
from control.accounts.model import Organisation
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Tx
from control.loops import driver
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from control.plans import allowance, traffic
from control.plans.limits import reached
from control.plans.model import Plan, Quota, Traffic, Warned
from telemetry import logs
from wire.ids import OrgId
from wire.units import GB

log = logs.get(__name__)

WHO = "loop:warn"
PAGE = 500
"""Organisations that are looked at in one transaction."""
STORAGE, TRAFFIC = "storage", "traffic"


class Level(Struct, frozen=True):
    """How much of a limit an organisation uses."""

    org: UUID
    what: str
    used: int
    allowed: int | None

    @property
    def percent(self) -> int:
        return reached(self.used, self.allowed)


async def step(plane: Plane, now: dt.datetime) -> bool:
    after: UUID | None = None
    while True:
        async with plane.working() as tx:
            if not await driver.alone(tx, "warn"):
                return False
            quotas = await _page(tx, after)
            warned = await _compare(tx, plane, quotas, now)
        if warned:
            await plane.nudge("mail")
        if len(quotas) < PAGE:
            return False
        after = quotas[-1][0].org_id


async def _page(tx: Tx, after: UUID | None) -> list[tuple[Quota, Plan]]:
    rows = select(Quota, Plan).join(Plan, Plan.name == Quota.plan).order_by(Quota.org_id).limit(PAGE)
    found = await tx.execute(rows.where(Quota.org_id > after) if after is not None else rows)
    return [(quota, plan) for quota, plan in found]


async def _compare(tx: Tx, plane: Plane, quotas: list[tuple[Quota, Plan]], now: dt.datetime) -> int:
    month, orgs = traffic.month_of(now), [quota.org_id for quota, _ in quotas]
    told = {
        (row.org_id, row.what): row.percent
        for row in await tx.scalars(select(Warned).where(Warned.org_id.in_(orgs)))
        if row.what != TRAFFIC or row.month == month
    }
    spent: dict[UUID, int] = {}
    for row in await tx.scalars(select(Traffic).where(Traffic.org_id.in_(orgs), Traffic.month == month)):
        spent[row.org_id] = spent.get(row.org_id, 0) + row.bytes
    warned = 0
    for level in _levels(quotas, spent):
        before = told.get((level.org, level.what), 0)
        if level.percent > before:
            await _warn(tx, plane, level, month, now)
            warned += 1
        elif level.percent < before:
            await tx.execute(delete(Warned).where(Warned.org_id == level.org, Warned.what == level.what))
            if level.percent:  # of 100 % back to 80: that was told on the way up
                await _remember(tx, level, month, now)
    return warned


def _levels(quotas: list[tuple[Quota, Plan]], spent: dict[UUID, int]) -> Iterator[Level]:
    for quota, plan in quotas:
        limits = allowance.made(quota, plan).limits
        yield Level(quota.org_id, STORAGE, quota.reserved_bytes + quota.stored_bytes, limits.storage_bytes)
        yield Level(quota.org_id, TRAFFIC, spent.get(quota.org_id, 0), limits.traffic_bytes)


async def _warn(tx: Tx, plane: Plane, level: Level, month: dt.date, now: dt.datetime) -> None:
    await _remember(tx, level, month, now)
    name = await tx.scalar(select(Organisation.name).where(Organisation.id == level.org))
    told = letters.nearly_spent(
        name or "", level.what, level.percent, f"{level.used / GB:.2f} GB", f"{(level.allowed or 0) / GB:.2f} GB"
    )
    for email, person in await members.in_charge(tx, OrgId(level.org)):
        await mails.queue(tx, plane.settings.vault, email, told, person, now)
    said = {"limit": level.what, "percent": level.percent, "used": level.used, "allowed": level.allowed}
    actor = Actor(name=WHO, org=level.org)
    await audit.record_as(tx, Severity.NOTICE, actor, "quota.warned", f"organisation:{level.org}", now, **said)
    log.info("quota.warned", organisation=str(level.org), limit=level.what, percent=level.percent)


async def _remember(tx: Tx, level: Level, month: dt.date, now: dt.datetime) -> None:
    values = {"percent": level.percent, "month": month, "at": now}
    row = insert(Warned).values(org_id=level.org, what=level.what, **values)
    await tx.execute(row.on_conflict_do_update(index_elements=["org_id", "what"], set_=values))

"""What an organisation may use and does use, as its rows say now. Only read here."""

import datetime as dt
from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, func, literal_column, select

from control.db import Tx
from control.plans import traffic
from control.plans.limits import Limits, OwnLimits, Use, merged
from control.plans.model import Plan, Quota
from control.transfers.model import Transfer
from wire.ids import OrgId
from wire.states import TRANSFER_ENDED

RESERVED = literal_column("transfers.reserved_bytes", BigInteger)
KEPT = literal_column("transfers.kept_bytes", BigInteger)
"""Generated from the rest of the row (see the migration): what a transfer holds of its organisation's quota."""


class Allowance(Struct, frozen=True):
    plan: str
    own: OwnLimits
    limits: Limits
    """The plan's, with its own above them."""
    reserved_bytes: int
    stored_bytes: int


async def of(tx: Tx, org: OrgId) -> Allowance:
    return (await of_all(tx, {org}))[org]


async def of_all(tx: Tx, orgs: Collection[UUID]) -> dict[UUID, Allowance]:
    rows = await tx.execute(
        select(Quota, Plan)
        .join(Plan, Plan.name == Quota.plan)
        .where(Quota.org_id.in_(orgs))
        .execution_options(populate_existing=True)
    )
    return {quota.org_id: made(quota, plan) for quota, plan in rows}


def made(quota: Quota, plan: Plan) -> Allowance:
    own = msgspec.convert(quota.own, OwnLimits)
    return Allowance(quota.plan, own, merged(limits_of(plan), own), quota.reserved_bytes, quota.stored_bytes)


async def plans(tx: Tx) -> Sequence[Plan]:
    """Smallest first."""
    return (await tx.scalars(select(Plan).order_by(Plan.place, Plan.name))).all()


def limits_of(plan: Plan) -> Limits:
    return Limits(**{field: getattr(plan, field) for field in Limits.__struct_fields__})


async def use(tx: Tx, org: OrgId, now: dt.datetime, but: UUID | None = None) -> Use:
    """Used and set aside by all, or by all `but` one transfer."""
    await tx.flush()
    counted = await of(tx, org)
    own = select(RESERVED + KEPT).where(Transfer.id == but)
    storage = counted.reserved_bytes + counted.stored_bytes - int(await tx.scalar(own) or 0)
    coming = select(func.coalesce(func.sum(func.greatest(RESERVED - Transfer.stored_bytes, 0)), 0)).where(
        Transfer.scope_id == org, Transfer.state.not_in(TRANSFER_ENDED), Transfer.id.is_distinct_from(but)
    )
    spent = sum((await traffic.of_month(tx, org, now)).values())
    return Use(storage, spent + int(await tx.scalar(coming) or 0))

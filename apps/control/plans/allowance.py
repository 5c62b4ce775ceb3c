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
    dates_by: int | None
    """Days with which the dates of what is completed were reckoned."""
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
    limits = merged(limits_of(plan), own)
    return Allowance(quota.plan, own, limits, quota.kept_days, quota.reserved_bytes, quota.stored_bytes)


async def plans(tx: Tx) -> Sequence[Plan]:
    """Smallest first."""
    return (await tx.scalars(select(Plan).order_by(Plan.place, Plan.name))).all()


def limits_of(plan: Plan) -> Limits:
    return msgspec.convert(plan, Limits, from_attributes=True)


async def sessions_max(tx: Tx) -> int:
    """Of the person for whom `tx` acts, by the best plan of all his organisations; in none, by that of new ones."""
    return int((await tx.execute(select(func.app_sessions_max()))).scalar_one())


async def use(tx: Tx, org: OrgId, counted: Allowance, now: dt.datetime, but: UUID | None = None) -> Use:
    """Used and set aside by all, or by all `but` one transfer."""
    is_it = Transfer.id.is_not_distinct_from(but)
    own = func.sum(RESERVED + KEPT).filter(is_it)
    coming = func.sum(func.greatest(RESERVED - Transfer.stored_bytes, 0)).filter(~is_it)
    open_ones = select(own, coming).where(Transfer.scope_id == org, Transfer.state.not_in(TRANSFER_ENDED) | is_it)
    its_own, to_come = (await tx.execute(open_ones)).one()
    spent = sum((await traffic.of_month(tx, org, now)).values())
    return Use(counted.reserved_bytes + counted.stored_bytes - int(its_own or 0), spent + int(to_come or 0))

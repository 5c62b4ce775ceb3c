"""Verbs on plans, and on which one an organisation has. Nothing ends by a change: what does not fit any more goes on as
it is, and nothing is added until it fits again.
"""

import datetime as dt

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from control import seeding
from control.accounts import organisations
from control.accounts.model import Organisation
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from control.plans import allowance
from control.plans.limits import Limits, OwnLimits
from control.plans.model import Plan, Quota
from control.seeding import Seeding
from wire.ids import OrgId

HOUSE = "house"
"""The plan of who runs this place."""
DESCRIPTION_CHARS_MAX = 300
REASON_CHARS_MAX = 500


class Described(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan, but for its name."""

    description: str = ""
    place: int = 100
    """In lists; what comes later has more."""
    is_listed: bool = True
    """Members see it, and are told when it has room."""


async def describe(tx: Tx, name: str, said: Described, actor: Actor, now: dt.datetime) -> Plan:
    """Makes a plan, or changes it for all who have it."""
    if not 0 <= said.place <= 10_000 or len(said.description) > DESCRIPTION_CHARS_MAX:
        raise BadInput(f"A place is 0 to 10000, a description at most {DESCRIPTION_CHARS_MAX} characters.")
    if said.seeding is not None:
        seeding.check(said.seeding)
    before = await tx.scalar(select(Plan).where(Plan.name == name).with_for_update())
    was = described(before) if before is not None else None
    values = msgspec.to_builtins(said)
    new = insert(Plan).values(name=name, is_default=False, **values)
    plan = await tx.scalar(
        new.on_conflict_do_update(index_elements=[Plan.name], set_=values)
        .returning(Plan)
        .execution_options(populate_existing=True)
    )
    assert plan is not None  # inserted, or updated
    await audit.record(tx, actor, "plan.described", f"plan:{name}", now, before=was, after=said)
    return plan


async def make_default(tx: Tx, name: str, actor: Actor, now: dt.datetime) -> Plan:
    """New organisations get it from now on; one plan is always theirs."""
    plans = {each.name: each for each in await tx.scalars(select(Plan).order_by(Plan.name).with_for_update())}
    plan = plans.get(name)
    if plan is None:
        raise NotFound("There is no such plan.")
    before = next((each for each in plans.values() if each.is_default), None)
    if before is not None:
        before.is_default = False
        await tx.flush()  # there is never a second one
    plan.is_default = True
    was = before.name if before is not None else None
    await audit.record(tx, actor, "plan.made_default", f"plan:{name}", now, before=was)
    await tx.flush()
    return plan


async def drop(tx: Tx, name: str, reason: str, actor: Actor, now: dt.datetime) -> None:
    plan = await tx.scalar(select(Plan).where(Plan.name == name).with_for_update())
    if plan is None:
        raise NotFound("There is no such plan.")
    used = await tx.scalar(select(func.count()).where(Quota.plan == name))
    if used or plan.is_default:
        raise Conflict(f"{used} organisations have this plan, or new ones get it.", code="plan_in_use")
    await tx.execute(delete(Plan).where(Plan.name == name))
    await audit.record(tx, actor, "plan.dropped", f"plan:{name}", now, before=described(plan), reason=reason)


async def counts(tx: Tx) -> dict[str, int]:
    """How many organisations have each."""
    return dict((await tx.execute(select(Quota.plan, func.count()).group_by(Quota.plan))).all())


def described(plan: Plan) -> Described:
    return msgspec.convert(plan, Described, from_attributes=True)


async def assign(tx: Tx, org: OrgId, name: str, reason: str, actor: Actor, now: dt.datetime) -> None:
    """Up or down; its own limits stay above the new plan's."""
    quota = await _held(tx, org)
    if await tx.scalar(select(Plan.name).where(Plan.name == name).with_for_update(read=True)) is None:
        raise BadInput("There is no such plan.", code="no_such_plan")
    before = quota.plan
    await tx.execute(update(Quota).where(Quota.org_id == org).values(plan=name))
    said = {"before": before, "after": name, "reason": tidy_reason(reason)}
    await audit.record(tx, actor.within(org), "organisation.plan_changed", f"organisation:{org}", now, **said)


async def set_own(tx: Tx, org: OrgId, own: OwnLimits, reason: str, actor: Actor, now: dt.datetime) -> None:
    """All of them: what is left out is the plan's again."""
    if isinstance(own.seeding, Seeding):
        seeding.check(own.seeding)
    quota = await _held(tx, org)
    before, after = msgspec.to_builtins(quota.own), msgspec.to_builtins(own)
    await tx.execute(update(Quota).where(Quota.org_id == org).values(own=after))
    said = {"before": before, "after": after, "reason": tidy_reason(reason)}
    await audit.record(tx, actor.within(org), "organisation.limits_changed", f"organisation:{org}", now, **said)


def tidy_reason(reason: str) -> str:
    said = " ".join(reason.split())
    if not 0 < len(said) <= REASON_CHARS_MAX:
        raise BadInput(f"Give a reason, of at most {REASON_CHARS_MAX} characters.", code="no_reason")
    return said


async def _held(tx: Tx, org: OrgId) -> allowance.Allowance:
    """Nothing is admitted under the old limits while they change."""
    await organisations.lock(tx, org)
    there = select(Organisation.id).where(Organisation.id == org, Organisation.deleted_at.is_(None))
    if await tx.scalar(there) is None:
        raise NotFound("There is no such organisation.")
    return await allowance.of(tx, org)

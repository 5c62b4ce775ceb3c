"""What the API takes and gives about plans, quotas and usage."""

import datetime as dt
from uuid import UUID

from msgspec import Struct

from control.plans import traffic
from control.plans.limits import Limits, Over, OwnLimits, over, reached
from control.plans.model import Plan, TrafficKind
from control.plans.service import Described, described
from control.plans.usage import Counted, Usage


class JobsUsage(Struct, frozen=True):
    at_work: int
    waiting: int
    """For their turn: others of the organisation are at work, or no agent has room."""
    open: int


class StorageUsage(Struct, frozen=True):
    stored_bytes: int
    reserved_bytes: int
    """Set aside for what is under way."""
    left_bytes: int | None
    """Null: no limit."""


class TrafficUsage(Struct, frozen=True):
    transfer_bytes: int
    """Brought into the store this month."""
    delivery_bytes: int
    """Fetched from it."""
    left_bytes: int | None
    begins_anew_at: dt.datetime


class WarningView(Struct, frozen=True):
    limit: str
    percent: int
    """So much of it is used, or more: 80 or 100."""


class UsageView(Struct, frozen=True):
    plan: str
    limits: Limits
    """The plan's, with the organisation's own above them; null is no limit."""
    own: OwnLimits
    jobs: JobsUsage
    storage: StorageUsage
    traffic: TrafficUsage
    warnings: list[WarningView]
    over: list[Over]
    """What does not fit under the limits any more, and what becomes of it."""


class PlanOffer(Struct, frozen=True):
    """A plan, as members see it."""

    name: str
    description: str
    limits: Limits
    is_yours: bool
    over: list[Over]
    """What would not fit, and what would become of it."""


class PlanOffers(Struct, frozen=True):
    items: list[PlanOffer]


class PlanView(Struct, frozen=True):
    name: str
    terms: Described
    is_default: bool
    """New organisations get it."""
    organisations: int
    """That have it."""


class Plans(Struct, frozen=True):
    items: list[PlanView]


class AssignPlan(Struct, frozen=True, forbid_unknown_fields=True):
    plan: str
    reason: str


class SetLimits(Struct, frozen=True, forbid_unknown_fields=True):
    limits: OwnLimits
    reason: str


class QuotaView(Struct, frozen=True):
    organisation: UUID
    usage: UsageView
    counted_anew: Counted
    """Storage once more, from its jobs alone: a difference is a fault of ours."""


def usage_view(usage: Usage, now: dt.datetime) -> UsageView:
    allowed, limits, held = usage.allowance, usage.allowance.limits, usage.held
    month = traffic.month_of(now)
    anew = dt.datetime.combine((month + dt.timedelta(days=31)).replace(day=1), dt.time(), dt.UTC)
    near = (
        WarningView("storage", reached(held.storage_bytes, limits.storage_bytes)),
        WarningView("traffic", reached(held.traffic_bytes, limits.traffic_bytes)),
    )
    return UsageView(
        plan=allowed.plan,
        limits=limits,
        own=allowed.own,
        jobs=JobsUsage(held.active, usage.waiting, held.open_jobs),
        storage=StorageUsage(
            allowed.stored_bytes, allowed.reserved_bytes, _left(limits.storage_bytes, held.storage_bytes)
        ),
        traffic=TrafficUsage(
            usage.traffic[TrafficKind.TRANSFER],
            usage.traffic[TrafficKind.DELIVERY],
            _left(limits.traffic_bytes, held.traffic_bytes),
            anew,
        ),
        warnings=[warning for warning in near if warning.percent],
        over=over(limits, held),
    )


def _left(allowed: int | None, used: int) -> int | None:
    return None if allowed is None else max(0, allowed - used)


def plan_view(plan: Plan, organisations: int) -> PlanView:
    return PlanView(plan.name, described(plan), plan.is_default, organisations)

"""Admins' routes of plans, and of which one an organisation has."""

from typing import Annotated
from uuid import UUID

from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, PathParameter
from msgspec import Struct

from control.accounts.permissions import Permission
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.db import Tx
from control.errors import NotFound
from control.http import Asked
from control.plane import Plane
from control.plans import allowance, usage
from control.plans import service as plans
from control.plans.schemas import AssignPlan, Plans, PlanView, QuotaView, SetLimits, plan_view, usage_view
from control.plans.service import Described
from wire.clock import utcnow
from wire.ids import OrgId

TAG = ["admin"]
Name = Annotated[str, PathParameter(pattern="^[a-z][a-z0-9-]{0,31}$", description="A plan's name.")]


class DropPlan(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    password: str | None = None
    """Once more; who has none signs in again first."""


@get("/admin/plans", permission=Permission.PLANS_READ, summary="All plans, and how many have each", tags=TAG)
async def list_plans(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Plans:
    async with plane.working() as tx:
        counts = await plans.counts(tx)
        return Plans([plan_view(each, counts.get(each.name, 0)) for each in await allowance.plans(tx)])


@put(
    "/admin/plans/{plan:str}",
    permission=Permission.PLANS_WRITE,
    summary="Make a plan, or change it for all who have it",
    tags=TAG,
)
async def describe_plan(
    plan: Name,
    data: JSONBody[Described],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> PlanView:
    async with plane.working() as tx:
        made = await plans.describe(tx, plan, data, actor_of(request, who), utcnow())
        view = plan_view(made, (await plans.counts(tx)).get(plan, 0))
    await _followed(plane)
    return view


@put(
    "/admin/plans/{plan:str}/default",
    permission=Permission.PLANS_WRITE,
    summary="Give this plan to organisations that are made from now on",
    tags=TAG,
)
async def make_default(
    plan: Name, request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> PlanView:
    async with plane.working() as tx:
        made = await plans.make_default(tx, plan, actor_of(request, who), utcnow())
        return plan_view(made, (await plans.counts(tx)).get(plan, 0))


@post(
    "/admin/plans/{plan:str}/drop",
    permission=Permission.PLANS_WRITE,
    refuses=[429],
    status_code=204,
    summary="Drop a plan that nobody has, with a reason and your password",
    tags=TAG,
)
async def drop_plan(
    plan: Name,
    data: JSONBody[DropPlan],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> None:
    await prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        await plans.drop(tx, plan, data.reason, actor_of(request, who), utcnow())


@get(
    "/admin/organisations/{org_id:uuid}/quota",
    permission=Permission.PLANS_READ,
    summary="What an organisation may use, and does use",
    tags=TAG,
)
async def show_quota(
    org_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> QuotaView:
    async with plane.working() as tx:
        return await _quota(tx, OrgId(org_id))


@put(
    "/admin/organisations/{org_id:uuid}/plan",
    permission=Permission.PLANS_WRITE,
    summary="Give an organisation another plan; the answer says what does not fit any more",
    tags=TAG,
)
async def assign_plan(
    org_id: FromPath[UUID],
    data: JSONBody[AssignPlan],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> QuotaView:
    async with plane.working() as tx:
        await plans.assign(tx, OrgId(org_id), data.plan, data.reason, actor_of(request, who), utcnow())
        view = await _quota(tx, OrgId(org_id))
    await _followed(plane)
    return view


@put(
    "/admin/organisations/{org_id:uuid}/limits",
    permission=Permission.PLANS_WRITE,
    summary="Give an organisation limits of its own, above its plan's; what is left out is the plan's",
    tags=TAG,
)
async def set_limits(
    org_id: FromPath[UUID],
    data: JSONBody[SetLimits],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> QuotaView:
    async with plane.working() as tx:
        await plans.set_own(tx, OrgId(org_id), data.limits, data.reason, actor_of(request, who), utcnow())
        view = await _quota(tx, OrgId(org_id))
    await _followed(plane)
    return view


async def _followed(plane: Plane) -> None:
    """By all who act by limits beside requests."""
    for loop in ("dispatch", "expire", "seeding"):
        await plane.nudge(loop)


async def _quota(tx: Tx, org: OrgId) -> QuotaView:
    if not await allowance.of_all(tx, {org}):
        raise NotFound("There is no such organisation.")
    now = utcnow()
    return QuotaView(org, usage_view(await usage.of(tx, org, now), now), await usage.recounted(tx, org))


ROUTES: list[HTTPRouteHandler] = [
    list_plans, describe_plan, make_default, drop_plan, show_quota, assign_plan, set_limits,
]  # fmt: skip

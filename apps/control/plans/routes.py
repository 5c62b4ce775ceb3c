"""Routes of usage: what an organisation may use and does use, and what other plans would give it."""

from litestar import get
from litestar.di import NamedDependency

from control.accounts.permissions import Permission
from control.auth import Principal
from control.plane import Plane
from control.plans import allowance, usage
from control.plans.limits import merged, over
from control.plans.schemas import PlanOffer, PlanOffers, UsageView, usage_view
from wire.clock import utcnow

TAG = ["organisations"]


@get("/organisation/usage", permission=Permission.ORGANISATION_READ, summary="What it may use, and does use", tags=TAG)
async def show(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> UsageView:
    now = utcnow()
    async with plane.asking(who.asker) as tx:
        return usage_view(await usage.of(tx, who.org, now), now)


@get(
    "/organisation/plans",
    permission=Permission.ORGANISATION_READ,
    summary="The plans that there are, and what would not fit under each",
    tags=TAG,
)
async def offers(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> PlanOffers:
    async with plane.asking(who.asker) as tx:
        now = await usage.of(tx, who.org, utcnow())
        plans = [each for each in await allowance.plans(tx) if each.is_listed or each.name == now.allowance.plan]
    items = []
    for plan in plans:
        limits = merged(allowance.limits_of(plan), now.allowance.own)
        is_yours = plan.name == now.allowance.plan
        items.append(PlanOffer(plan.name, plan.description, limits, is_yours, over(limits, now.held)))
    return PlanOffers(items)


ROUTES = [show, offers]

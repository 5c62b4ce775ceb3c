"""Routes of platform roles: who helps to run the platform."""

from uuid import UUID

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from control.accounts import platform
from control.accounts.permissions import Permission, PlatformRole
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow

TAG = ["admin"]


class GiveRole(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    role: PlatformRole
    """`user` takes every other one away."""
    reason: Reason
    password: str | None = None
    """Once more; who has none signs in again first."""


class RoleView(Struct, frozen=True):
    id: UUID
    email: str
    role: PlatformRole


class Roles(Struct, frozen=True):
    items: list[RoleView]


@get("/admin/roles", permission=Permission.ROLES_READ, summary="Who has a role on the platform", tags=TAG)
async def list_roles(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Roles:
    async with plane.working() as tx:
        return Roles([RoleView(each.id, each.email, each.platform_role) for each in await platform.listed(tx)])


@put(
    "/admin/roles",
    permission=Permission.ROLES_WRITE,
    refuses=[404, 429],
    summary="Give somebody a role on the platform, with a reason and your password; none above your own",
    tags=TAG,
)
async def give_role(
    data: JSONBody[GiveRole],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> RoleView:
    await prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        actor = actor_of(request, who)
        given = await platform.give(tx, who, data.email, data.role, data.reason, actor, utcnow())
    return RoleView(given.id, given.email, given.platform_role)


ROUTES = [list_roles, give_role]

"""Routes of organisations and their members. `/organisation` is the one that the session or key acts for."""

from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import members, organisations
from control.accounts.known import Place
from control.accounts.members import MemberRow
from control.accounts.organisation_schemas import (
    ChangeMember,
    Close,
    ClosedView,
    MakeOrganisation,
    Members,
    MemberView,
    Organisations,
    Rename,
)
from control.accounts.permissions import OrgRole, Permission
from control.accounts.schemas import OrganisationView
from control.accounts.sessions import SESSION_S
from control.auth import Principal, actor_of, session_cookie
from control.errors import NotFound
from control.http import Asked
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from control.speed import LimitSpeed
from wire.clock import utcnow
from wire.ids import OrgId
from wire.messages import Pace

TAG = ["organisations"]


@post(
    "/organisations",
    permission=Permission.PROFILE_WRITE,
    refuses=[409],
    status_code=201,
    summary="Make an organisation, and be its owner",
    tags=TAG,
)
async def make(
    data: JSONBody[MakeOrganisation], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> OrganisationView:
    async with plane.asking(who.asker) as tx:
        org = await organisations.create(tx, who.person, data.name, actor_of(request, who), utcnow())
        return _view(await organisations.mine(tx, who.person), org)


@get("/organisations", permission=Permission.PROFILE_READ, summary="The organisations that you are in", tags=TAG)
async def list_mine(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Organisations:
    async with plane.asking(who.asker) as tx:
        return Organisations([_one(place) for place in await organisations.mine(tx, who.person)])


@post(
    "/organisations/{org_id:uuid}/enter",
    permission=Permission.PROFILE_WRITE,
    status_code=200,
    summary="Act for this organisation from now on: the session gets a new cookie",
    tags=TAG,
)
async def enter(
    org_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Response[OrganisationView]:
    async with plane.asking(who.asker) as tx:
        token = await organisations.enter(tx, who.person, who.by, org_id, actor_of(request, who), utcnow())
        entered = _view(await organisations.mine(tx, who.person), org_id)
    return Response(entered, cookies=[session_cookie(plane.settings, token, SESSION_S)])


@post(
    "/organisations/{org_id:uuid}/leave",
    permission=Permission.PROFILE_WRITE,
    status_code=204,
    summary="Leave an organisation; its last owner cannot",
    tags=TAG,
)
async def leave(
    org_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await members.leave(tx, OrgId(org_id), who.person, actor_of(request, who), utcnow())


@get("/organisation", permission=Permission.ORGANISATION_READ, summary="The organisation you act for", tags=TAG)
async def show(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> OrganisationView:
    async with plane.asking(who.asker) as tx:
        return _view(await organisations.mine(tx, who.person), who.org)


@patch("/organisation", permission=Permission.ORGANISATION_WRITE, summary="Rename it", tags=TAG)
async def rename(
    data: JSONBody[Rename], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> OrganisationView:
    async with plane.asking(who.asker) as tx:
        await organisations.rename(tx, who.org, data.name, actor_of(request, who), utcnow())
        return _view(await organisations.mine(tx, who.person), who.org)


@get("/organisation/speed", permission=Permission.ORGANISATION_READ, summary="Its limits of speed", tags=TAG)
async def show_speed(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Pace:
    async with plane.asking(who.asker) as tx:
        return await organisations.pace(tx, who.org)


@patch(
    "/organisation/speed",
    permission=Permission.ORGANISATION_WRITE,
    summary="Limit the speed of all its transfers together: they share it, wherever they run",
    tags=TAG,
)
async def limit_speed(
    data: JSONBody[LimitSpeed], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Pace:
    async with plane.asking(who.asker) as tx:
        limited = await organisations.limit(tx, who.org, data, actor_of(request, who), utcnow())
    await plane.nudge("shares")
    return limited


@post(
    "/organisation/close",
    permission=Permission.ORGANISATION_DELETE,
    refuses=[404],
    status_code=200,
    summary="Delete it with all that it has: jobs end, files go, keys and memberships are void. Wants its name",
    tags=TAG,
)
async def close(
    data: JSONBody[Close], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> ClosedView:
    now = utcnow()
    async with plane.asking(who.asker) as tx:
        closed = await organisations.close(tx, who.org, who.person, data.confirm, actor_of(request, who), now)
        for address in closed.others:
            await mails.queue(tx, plane.settings.vault, address, letters.organisation_gone(data.confirm), None, now)
    await plane.nudge("close")
    await plane.nudge("mail")
    return ClosedView(closed.others)


@get("/organisation/members", permission=Permission.ORGANISATION_READ, summary="Who is in it", tags=TAG)
async def list_members(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Members:
    async with plane.asking(who.asker) as tx:
        return Members([_member(row) for row in await members.listed(tx, who.org)])


@patch(
    "/organisation/members/{person_id:uuid}",
    permission=Permission.MEMBERS_WRITE,
    summary="Give another role: none above your own, and an owner stays",
    tags=TAG,
)
async def change_member(
    person_id: FromPath[UUID],
    data: JSONBody[ChangeMember],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> MemberView:
    async with plane.asking(who.asker) as tx:
        changed = await members.change(tx, who, who.org, person_id, data.role, actor_of(request, who), utcnow())
        return _member(changed)


@delete(
    "/organisation/members/{person_id:uuid}",
    permission=Permission.MEMBERS_WRITE,
    status_code=204,
    summary="Remove somebody, at once; the keys they made and the invitations they sent end too",
    tags=TAG,
)
async def remove_member(
    person_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await members.remove(tx, who, who.org, person_id, actor_of(request, who), utcnow())


def _view(places: list[Place], org: UUID) -> OrganisationView:
    for place in places:
        if place.org == org:
            return _one(place)
    raise NotFound("You are in no such organisation.")


def _one(place: Place) -> OrganisationView:
    return OrganisationView(place.org, place.name, place.role)


def _member(row: MemberRow) -> MemberView:
    return MemberView(row.member.person_id, row.email, OrgRole(row.member.role), row.member.joined_at)


ROUTES = [
    make, list_mine, enter, leave, show, rename, show_speed, limit_speed, close, list_members, change_member,
    remove_member,
]  # fmt: skip

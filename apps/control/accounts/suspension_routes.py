"""Routes of suspension: keep a person or an organisation out, and let them in again."""

import datetime as dt
from uuid import UUID

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts import suspension
from control.accounts.model import Organisation, Person
from control.accounts.permissions import Permission
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow

TAG = ["admin"]


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    """For the log; whoever is suspended reads it in a mail."""
    password: str | None = None
    """Once more; who has none signs in again first."""


class Standing(Struct, frozen=True):
    id: UUID
    suspended_at: dt.datetime | None
    reason: str | None


@post(
    "/admin/people/{person_id:uuid}/suspend",
    permission=Permission.SUSPENSIONS_WRITE,
    refuses=[429],
    status_code=200,
    summary="Keep somebody from everything, at once, with a reason and your password; their jobs are paused",
    tags=TAG,
)
async def suspend_person(
    person_id: FromPath[UUID],
    data: JSONBody[Why],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> Standing:
    await prove(plane, throttling, request, who, data.password)
    return await _person(plane, request, who, person_id, data.reason, ends=False)


@post(
    "/admin/people/{person_id:uuid}/unsuspend",
    permission=Permission.SUSPENSIONS_WRITE,
    refuses=[429],
    status_code=200,
    summary="Let somebody in again, with a reason and your password; their jobs go on",
    tags=TAG,
)
async def unsuspend_person(
    person_id: FromPath[UUID],
    data: JSONBody[Why],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> Standing:
    await prove(plane, throttling, request, who, data.password)
    return await _person(plane, request, who, person_id, data.reason, ends=True)


@post(
    "/admin/organisations/{org_id:uuid}/suspend",
    permission=Permission.SUSPENSIONS_WRITE,
    refuses=[429],
    status_code=200,
    summary="Keep everybody from an organisation, at once, with a reason and your password; its jobs are paused",
    tags=TAG,
)
async def suspend_organisation(
    org_id: FromPath[UUID],
    data: JSONBody[Why],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> Standing:
    await prove(plane, throttling, request, who, data.password)
    return await _organisation(plane, request, who, org_id, data.reason, ends=False)


@post(
    "/admin/organisations/{org_id:uuid}/unsuspend",
    permission=Permission.SUSPENSIONS_WRITE,
    refuses=[429],
    status_code=200,
    summary="Let an organisation work again, with a reason and your password; its jobs go on",
    tags=TAG,
)
async def unsuspend_organisation(
    org_id: FromPath[UUID],
    data: JSONBody[Why],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> Standing:
    await prove(plane, throttling, request, who, data.password)
    return await _organisation(plane, request, who, org_id, data.reason, ends=True)


async def _person(plane: Plane, request: Asked, who: Principal, of: UUID, reason: str, *, ends: bool) -> Standing:
    actor = actor_of(request, who)
    async with plane.working() as tx:
        found = await suspension.of_person(tx, plane.settings.vault, who, of, reason, actor, utcnow(), ends=ends)
    return await _said(plane, found)


async def _organisation(plane: Plane, request: Asked, who: Principal, of: UUID, reason: str, *, ends: bool) -> Standing:
    actor = actor_of(request, who)
    async with plane.working() as tx:
        found = await suspension.of_organisation(tx, plane.settings.vault, of, reason, actor, utcnow(), ends=ends)
    return await _said(plane, found)


async def _said(plane: Plane, found: Person | Organisation) -> Standing:
    """Each looks again: streams in every api process, and the loop that pauses jobs or lets them go on."""
    for each in ("streams", "suspended", "mail"):
        await plane.nudge(each)
    return Standing(found.id, found.suspended_at, found.suspended_for)


ROUTES = [suspend_person, unsuspend_person, suspend_organisation, unsuspend_organisation]

"""Routes of operators' verbs on what is others': with a reason, and the password once more."""

from uuid import UUID

from litestar import post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts.permissions import Permission
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.admin import directory, verbs
from control.admin.directory import JobRow
from control.auth import Principal, actor_of
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow

TAG = ["admin"]


class Terminate(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    password: str | None = None
    """Once more; who has none signs in again first."""


class SignOut(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    keys: bool = False
    """Revoke their API keys, too."""
    password: str | None = None


class SignedOut(Struct, frozen=True):
    sessions: int


@post(
    "/admin/jobs/{job_id:uuid}/terminate",
    permission=Permission.JOBS_TERMINATE,
    refuses=[429],
    status_code=200,
    tags=TAG,
    summary="End somebody's job, with a reason and your password",
)
async def terminate(
    job_id: FromPath[UUID],
    data: JSONBody[Terminate],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> JobRow:
    await prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        done = await verbs.terminate(tx, job_id, data.reason, actor_of(request, who), utcnow())
    if done.agent is not None:
        await plane.nudge_agent(done.agent)
    await plane.nudge("dispatch")
    async with plane.working() as tx:
        return await directory.job(tx, job_id)


@post(
    "/admin/people/{person_id:uuid}/sign-out",
    permission=Permission.PEOPLE_WRITE,
    refuses=[429],
    status_code=200,
    tags=TAG,
    summary="Sign somebody out everywhere, with a reason and your password; they are told by mail",
)
async def sign_out(
    person_id: FromPath[UUID],
    data: JSONBody[SignOut],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> SignedOut:
    await prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        vault, actor = plane.settings.vault, actor_of(request, who)
        ended = await verbs.sign_out(tx, vault, who, person_id, data.reason, actor, utcnow(), keys=data.keys)
    await plane.nudge("mail")
    return SignedOut(ended)


ROUTES: list[HTTPRouteHandler] = [terminate, sign_out]

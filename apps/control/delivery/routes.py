"""Routes of delivery: signed links."""

import datetime as dt
from uuid import UUID

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts.permissions import Permission
from control.auth import Principal, actor_of
from control.delivery import service as delivery
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow


class AskLink(Struct, frozen=True, forbid_unknown_fields=True):
    ttl_s: int = delivery.LINK_S


class LinkView(Struct, frozen=True):
    url: str
    expires_at: dt.datetime
    name: str
    size_bytes: int


@post(
    "/jobs/{job_id:uuid}/files/{index:int}/link",
    permission=Permission.FILES_FETCH,
    status_code=201,
    summary="A signed link to one stored file, good for a minute to a day",
    tags=["delivery"],
)
async def link(
    job_id: FromPath[UUID],
    index: FromPath[int],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    data: JSONBody[AskLink | None] = None,
) -> LinkView:
    now, ttl_s = utcnow(), (data or AskLink()).ttl_s
    async with plane.asking(who.asker) as tx:
        what = await delivery.ready(tx, who.org, job_id, index, ttl_s, actor_of(request, who), now)
    return LinkView(
        url=delivery.sign(plane.store, what, ttl_s, now),
        expires_at=now + dt.timedelta(seconds=ttl_s),
        name=what.path.rpartition("/")[2],
        size_bytes=what.size_bytes,
    )


ROUTES = [link]

"""Routes of announcements: everybody sees those that hold now, who runs the platform makes them."""

from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts.permissions import ANYBODY, Permission
from control.announcements import service as announcements
from control.announcements.model import Announcement
from control.announcements.schemas import AllTold, Announce, Announcements, AnnouncementView, Told
from control.auth import Principal, actor_of
from control.http import Asked, utc
from control.plane import Plane
from wire.clock import utcnow

TAG = ["announcements"]


@get("/announcements", permission=ANYBODY, tags=TAG, summary="What everybody should know now, newest first")
async def current(plane: NamedDependency[Plane]) -> AllTold:
    async with plane.working() as tx:
        return AllTold([_told(each) for each in await announcements.current(tx, utcnow())])


@get(
    "/admin/announcements",
    permission=Permission.PLATFORM_READ,
    tags=["admin"],
    summary="All announcements, past and to come, newest first",
)
async def list_all(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Announcements:
    async with plane.working() as tx:
        return Announcements([_view(each) for each in await announcements.listed(tx)])


@post(
    "/admin/announcements",
    permission=Permission.ANNOUNCEMENTS_WRITE,
    status_code=201,
    tags=["admin"],
    summary="Tell everybody something, now or from a time on",
)
async def announce(
    data: JSONBody[Announce], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> AnnouncementView:
    now = utcnow()
    begins, until = utc(data.from_at) or now, utc(data.until_at)
    async with plane.working() as tx:
        actor = actor_of(request, who)
        return _view(await announcements.make(tx, data.text, data.weight, begins, until, actor, now))


@delete(
    "/admin/announcements/{announcement:uuid}",
    permission=Permission.ANNOUNCEMENTS_WRITE,
    status_code=200,
    tags=["admin"],
    summary="Take an announcement back",
)
async def take_back(
    announcement: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> AnnouncementView:
    async with plane.working() as tx:
        return _view(await announcements.take_back(tx, announcement, actor_of(request, who), utcnow()))


def _told(row: Announcement) -> Told:
    return Told(row.id, row.text, row.weight, row.from_at, row.until_at)


def _view(row: Announcement) -> AnnouncementView:
    return AnnouncementView(_told(row), row.made_by, row.created_at)


ROUTES = [current, list_all, announce, take_back]

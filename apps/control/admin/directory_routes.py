"""Routes by which who runs the platform sees it: figures, people, organisations, jobs, and a search through all."""

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from control import cursor as cursors
from control.accounts.permissions import Permission
from control.admin import directory, figures
from control.admin.directory import Found, JobRow, OrganisationDetail, OrganisationRow, PersonDetail, PersonRow
from control.admin.figures import Overview, Storage
from control.auth import Principal
from control.errors import BadInput
from control.plane import Plane
from wire.clock import utcnow
from wire.states import JobState

TAG = ["admin"]
PAGE = 50
PAGE_MAX = 200
TEXT_CHARS_MAX = 200
TEXT_CHARS_MIN = 2
"""Of a search through everything: one letter finds everybody."""

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
Text = Annotated[str | None, QueryParameter(name="q", description="An id, or a text in a name or an address.")]
InState = Annotated[JobState | None, QueryParameter(name="state", description="Only these.")]


class People(Struct, frozen=True):
    items: list[PersonRow]
    next_cursor: str | None


class Organisations(Struct, frozen=True):
    items: list[OrganisationRow]
    next_cursor: str | None


class JobsOfAll(Struct, frozen=True):
    items: list[JobRow]
    next_cursor: str | None


@get("/admin/overview", permission=Permission.PLATFORM_READ, tags=TAG, summary="Figures of the platform, counted now")
async def overview(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Overview:
    async with plane.working() as tx:
        return await figures.overview(tx, utcnow())


@get("/admin/storage", permission=Permission.PLATFORM_READ, tags=TAG, summary="What the store holds, by its rows")
async def storage(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Storage:
    async with plane.working() as tx:
        return await figures.storage(tx, utcnow())


@get("/admin/people", permission=Permission.PEOPLE_READ, tags=TAG, summary="People, newest first")
async def list_people(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    text: Text = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> People:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.working() as tx:
        found = await directory.people(tx, _text(text), before, limit + 1)
    return People(found[:limit], cursors.after_id(found[limit - 1].id) if len(found) > limit else None)


@get("/admin/people/{person_id:uuid}", permission=Permission.PEOPLE_READ, tags=TAG, summary="One person")
async def get_person(
    person_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> PersonDetail:
    async with plane.working() as tx:
        return await directory.person(tx, person_id)


@get("/admin/organisations", permission=Permission.PLATFORM_READ, tags=TAG, summary="Organisations, newest first")
async def list_organisations(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    text: Text = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> Organisations:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.working() as tx:
        found = await directory.organisations(tx, _text(text), before, limit + 1)
    return Organisations(found[:limit], cursors.after_id(found[limit - 1].id) if len(found) > limit else None)


@get(
    "/admin/organisations/{org_id:uuid}",
    permission=Permission.PEOPLE_READ,
    tags=TAG,
    summary="One organisation, and who is in it",
)
async def get_organisation(
    org_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> OrganisationDetail:
    async with plane.working() as tx:
        return await directory.organisation(tx, org_id)


@get("/admin/jobs", permission=Permission.PLATFORM_READ, tags=TAG, summary="Everybody's jobs, newest first")
async def list_jobs(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    text: Text = None,
    in_state: InState = None,
    org: FromQuery[UUID | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> JobsOfAll:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.working() as tx:
        found = await directory.jobs(tx, _text(text), org, in_state, before, limit + 1)
    return JobsOfAll(found[:limit], cursors.after_id(found[limit - 1].id) if len(found) > limit else None)


@get("/admin/jobs/{job_id:uuid}", permission=Permission.PLATFORM_READ, tags=TAG, summary="One job, of whomever")
async def get_job(job_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> JobRow:
    async with plane.working() as tx:
        return await directory.job(tx, job_id)


@get(
    "/admin/search",
    permission=Permission.PLATFORM_READ,
    tags=TAG,
    summary="Organisations, jobs and agents by id, name or info-hash; people too, for who may see them",
)
async def search(plane: NamedDependency[Plane], who: NamedDependency[Principal], text: Text = None) -> Found:
    looked_for = _text(text)
    if looked_for is None or len(looked_for) < TEXT_CHARS_MIN:
        raise BadInput(f"Look for {TEXT_CHARS_MIN} characters or more (`q`).", code="too_short")
    async with plane.working() as tx:
        return await directory.everything(tx, looked_for, with_people=Permission.PEOPLE_READ in who.permissions)


def _text(text: str | None) -> str | None:
    if text is not None and not (len(text) <= TEXT_CHARS_MAX and text.isprintable()):
        raise BadInput(f"What is looked for has at most {TEXT_CHARS_MAX} printable characters.")
    return text.strip() if text else None


ROUTES = [
    overview,
    storage,
    list_people,
    get_person,
    list_organisations,
    get_organisation,
    list_jobs,
    get_job,
    search,
]

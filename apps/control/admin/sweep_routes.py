"""Operators' routes of the store: sweeps, asked for and looked at."""

import datetime as dt
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts.permissions import Permission
from control.admin import sweeps
from control.auth import Principal, actor_of
from control.http import Asked
from control.plane import Plane
from control.transfers.model import Sweep
from wire.clock import utcnow

TAG = ["admin"]


class AskSweep(Struct, frozen=True, forbid_unknown_fields=True):
    dry_run: bool = True
    """Only look: nothing is removed, aborted or forgotten."""


class SweepView(Struct, frozen=True):
    id: UUID
    dry_run: bool
    asked_by: str
    asked_at: dt.datetime
    ended_at: dt.datetime | None
    looked_at: int
    """Names in the store."""
    orphans: int
    """Objects that no row names: removed."""
    orphan_bytes: int
    lost: int
    """Rows whose object is not there: forgotten."""
    uploads: int
    """Left open, and named by no row: aborted."""
    strange: int
    """Names that were not made here; never touched."""
    examples: list[str]


class Sweeps(Struct, frozen=True):
    items: list[SweepView]


@post(
    "/admin/storage/sweeps",
    permission=Permission.STORAGE_WRITE,
    status_code=201,
    summary="Hold the whole store against the rows, both ways; with `dry_run`, the default, only look",
    tags=TAG,
)
async def ask(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], data: JSONBody[AskSweep]
) -> SweepView:
    async with plane.working() as tx:
        asked = await sweeps.ask(tx, actor_of(request, who), utcnow(), dry_run=data.dry_run)
    await plane.nudge("sweep")
    return _view(asked)


@get("/admin/storage/sweeps", permission=Permission.STORAGE_READ, summary="The latest sweeps", tags=TAG)
async def list_sweeps(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Sweeps:
    async with plane.working() as tx:
        return Sweeps([_view(each) for each in await sweeps.listed(tx)])


@get(
    "/admin/storage/sweeps/{sweep_id:uuid}",
    permission=Permission.STORAGE_READ,
    summary="One sweep: how far it has come, what it found",
    tags=TAG,
)
async def show(sweep_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> SweepView:
    async with plane.working() as tx:
        return _view(await sweeps.one(tx, sweep_id))


def _view(sweep: Sweep) -> SweepView:
    return SweepView(**{field: getattr(sweep, field) for field in SweepView.__struct_fields__})


ROUTES: list[HTTPRouteHandler] = [ask, list_sweeps, show]

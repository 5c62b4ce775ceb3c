"""Routes of the terms of use: read them, accept them, publish a new version."""

import datetime as dt
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from control.accounts import terms
from control.accounts.model import Terms
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.db import Asker
from control.http import Asked, utc
from control.plane import Plane
from wire.clock import utcnow


class PublishTerms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    text: str
    effective_at: dt.datetime | None = None
    """Null: at once. From then on nothing works for who has not accepted it."""
    reason: Reason
    """For the log: why there is a new version."""
    password: str | None = None
    """Once more; who has none signs in again first."""


class AcceptTerms(Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=terms.VERSION_MAX)]


class TermsEntry(Struct, frozen=True):
    version: int
    published_at: dt.datetime
    effective_at: dt.datetime


class TermsList(Struct, frozen=True):
    current: int | None
    """The version in force; null: there are no terms to accept."""
    items: list[TermsEntry]
    """Newest first; some may be in force only later."""


class TermsView(Struct, frozen=True):
    version: int
    published_at: dt.datetime
    effective_at: dt.datetime
    text: str


@get("/terms", permission=ANYBODY, summary="Every version of the terms of use, and which is in force", tags=["terms"])
async def list_terms(plane: NamedDependency[Plane]) -> TermsList:
    async with plane.asking(Asker()) as tx:
        found, current = await terms.listed(tx), await terms.in_force(tx, utcnow())
    return TermsList(current, [TermsEntry(each.version, each.published_at, each.effective_at) for each in found])


@get("/terms/{version:int}", permission=ANYBODY, summary="One version of the terms, as published", tags=["terms"])
async def read_terms(version: FromPath[int], plane: NamedDependency[Plane]) -> TermsView:
    async with plane.asking(Asker()) as tx:
        return _view(await terms.read(tx, version))


@post(
    "/terms/accept",
    permission=Permission.PROFILE_WRITE,
    refuses=[404, 409],
    status_code=204,
    summary="Accept a version of the terms: the one in force, or one that is to come",
    tags=["terms"],
)
async def accept_terms(
    data: JSONBody[AcceptTerms], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await terms.accept(tx, who.person, data.version, actor_of(request, who), utcnow())


@post(
    "/admin/terms",
    permission=Permission.TERMS_WRITE,
    refuses=[409, 429],
    status_code=201,
    summary="Publish a version of the terms, which everybody must accept; with a reason and your password",
    tags=["admin"],
)
async def publish_terms(
    data: JSONBody[PublishTerms],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> TermsView:
    await prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        at, actor = utc(data.effective_at), actor_of(request, who)
        return _view(await terms.publish(tx, data.text, at, who.person, data.reason, actor, utcnow()))


def _view(found: Terms) -> TermsView:
    return TermsView(found.version, found.published_at, found.effective_at, found.text)


FOR_EVERYBODY = [list_terms, read_terms]
ROUTES = [accept_terms, publish_terms]

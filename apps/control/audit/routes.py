"""Routes of the log: an organisation reads and exports its own, operators that of all."""

import datetime as dt
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from control import cursor as cursors
from control.accounts.permissions import Permission
from control.audit import search
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.schemas import AuditPage, csv_head, csv_lines, jsonl_lines, view
from control.audit.search import Open, Place, Wanted
from control.auth import Principal, actor_of
from control.errors import BadInput
from control.http import Asked, utc
from control.plane import Plane
from wire.clock import utcnow
from wire.ids import OrgId

TAG = ["audit"]
PAGE = 50
PAGE_MAX = 200
TEXT_CHARS_MAX = 200
"""The longest thing that stands in a column of its own is some 70."""
CSV, JSONL = "text/csv; charset=utf-8", "application/jsonl"

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
Said = Annotated[str | None, QueryParameter(name="q", description="A text anywhere in a row, in either case.")]


def wanted(
    text: Said = None,
    actor: FromQuery[str | None] = None,
    action: FromQuery[str | None] = None,
    target: FromQuery[str | None] = None,
    severity: FromQuery[Severity | None] = None,
    since: FromQuery[dt.datetime | None] = None,
    until: FromQuery[dt.datetime | None] = None,
) -> Wanted:
    for each in (text, actor, action, target):
        if each is not None and not (0 < len(each) <= TEXT_CHARS_MAX and each.isprintable()):
            raise BadInput(f"What is looked for has 1 to {TEXT_CHARS_MAX} printable characters.")
    return Wanted(
        text=text,
        actor=actor,
        action=action,
        target=target,
        severity=severity,
        since=utc(since),
        until=utc(until),
    )


WANTED = {"wanted": Provide(wanted, sync_to_thread=False)}


@get(
    "/audit",
    permission=Permission.AUDIT_READ,
    dependencies=WANTED,
    tags=TAG,
    summary="The organisation's log, newest first",
)
async def list_own(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    wanted: NamedDependency[Wanted],
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> AuditPage:
    return await _page(partial(plane.asking, who.asker), who.org, wanted, cursor, limit)


@get(
    "/audit.csv",
    permission=Permission.AUDIT_READ,
    dependencies=WANTED,
    tags=TAG,
    summary="The organisation's log as a table",
    media_type=CSV,
)
async def own_as_csv(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], wanted: NamedDependency[Wanted]
) -> Stream:
    return await _export(request, who, partial(plane.asking, who.asker), who.org, wanted, CSV)


@get(
    "/audit.jsonl",
    permission=Permission.AUDIT_READ,
    dependencies=WANTED,
    tags=TAG,
    summary="The organisation's log, one JSON object a line",
    media_type=JSONL,
)
async def own_as_jsonl(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], wanted: NamedDependency[Wanted]
) -> Stream:
    return await _export(request, who, partial(plane.asking, who.asker), who.org, wanted, JSONL)


@get(
    "/admin/audit",
    permission=Permission.AUDIT_READ_ALL,
    dependencies=WANTED,
    tags=TAG,
    summary="Everybody's log, newest first",
)
async def list_all(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    wanted: NamedDependency[Wanted],
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> AuditPage:
    return await _page(plane.working, None, wanted, cursor, limit)


@get(
    "/admin/audit.csv",
    permission=Permission.AUDIT_READ_ALL,
    dependencies=WANTED,
    tags=TAG,
    summary="Everybody's log as a table",
    media_type=CSV,
)
async def all_as_csv(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], wanted: NamedDependency[Wanted]
) -> Stream:
    return await _export(request, who, plane.working, None, wanted, CSV)


@get(
    "/admin/audit.jsonl",
    permission=Permission.AUDIT_READ_ALL,
    dependencies=WANTED,
    tags=TAG,
    summary="Everybody's log, one JSON object a line",
    media_type=JSONL,
)
async def all_as_jsonl(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], wanted: NamedDependency[Wanted]
) -> Stream:
    return await _export(request, who, plane.working, None, wanted, JSONL)


async def _page(open_tx: Open, org: OrgId | None, wanted: Wanted, cursor: str | None, limit: int) -> AuditPage:
    before = Place(*cursors.moment_of(cursor)) if cursor else None
    async with open_tx() as tx:
        found = await search.page(tx, org, wanted, before, limit)
    more = cursors.after_moment(found.more.at, found.more.id) if found.more else None
    return AuditPage([view(entry) for entry in found.entries], more)


async def _export(
    request: Asked, who: Principal, open_tx: Open, org: OrgId | None, wanted: Wanted, kind: str
) -> Stream:
    """Taking the log away is itself a row of it, and the last one that the file can have."""
    now, name = utcnow(), "audit.csv" if kind == CSV else "audit.jsonl"
    target = f"organisation:{org}" if org else "platform"
    async with open_tx() as tx:
        actor = actor_of(request, who)
        await audit.record_as(tx, Severity.NOTICE, actor, "audit.exported", target, now, file=name)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(_file(open_tx, org, wanted, kind), media_type=kind, headers=headers)


async def _file(open_tx: Open, org: OrgId | None, wanted: Wanted, kind: str) -> AsyncIterator[bytes]:
    """A page at a time, however long the log is; whoever reads slowly holds no transaction open."""
    if kind == CSV:
        yield csv_head()
    async for entries in search.pages(open_tx, org, wanted):
        yield csv_lines(entries) if kind == CSV else jsonl_lines(entries)


ROUTES = [list_own, own_as_csv, own_as_jsonl, list_all, all_as_csv, all_as_jsonl]

"""Searching the log, newest first: filters go by index, a text is looked for within bounds, pages begin at a moment.

Every filter has an index that ends in (at, id), the order of the pages, so a page costs what it shows. A text has none:
row-level security lets no index of PostgreSQL's be asked for it, and one for all would slow every write down. So a page
looks through LOOKED_MAX rows that the filters let through, shows what it found there, and says where to go on.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from msgspec import Struct
from sqlalchemy import Select, Text, cast, func, literal, literal_column, select, tuple_
from sqlalchemy.orm import aliased

from control.audit.model import Entry, Severity
from control.db import Tx
from wire.ids import OrgId

LOOKED_MAX = 10_000
"""Some tens of milliseconds."""
EXPORT_PAGE = 1_000

Open = Callable[[], AbstractAsyncContextManager[Tx]]
"""Opens a transaction of whoever asks."""


class Wanted(Struct, frozen=True, kw_only=True):
    text: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    severity: Severity | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    """Not included."""


class Place(Struct, frozen=True):
    at: dt.datetime
    id: int


class Page(Struct, frozen=True):
    entries: list[Entry]
    more: Place | None
    """Where to go on; with a text, also if nothing was found yet."""


async def page(tx: Tx, org: OrgId | None, wanted: Wanted, before: Place | None, limit: int) -> Page:
    """`org` None: of all, and of none."""
    looked = _filtered(org, wanted, before)
    if wanted.text is None:
        found = list(await tx.scalars(looked.limit(limit + 1)))
        return Page(found[:limit], _place(found[limit - 1]) if len(found) > limit else None)
    among = aliased(Entry, looked.limit(LOOKED_MAX).subquery())
    said = func.concat_ws(
        " ", among.actor, among.action, among.target, among.request_id, among.ip, cast(among.detail, Text)
    )
    matches = select(among).where(said.icontains(wanted.text, autoescape=True))
    found = list(await tx.scalars(matches.order_by(among.at.desc(), among.id.desc()).limit(limit + 1)))
    if len(found) > limit:
        return Page(found[:limit], _place(found[limit - 1]))
    last = await tx.scalar(looked.offset(LOOKED_MAX - 1).limit(1))
    return Page(found, _place(last) if last is not None else None)


async def pages(open_tx: Open, org: OrgId | None, wanted: Wanted) -> AsyncIterator[list[Entry]]:
    """All of it; between two pages no transaction is open."""
    before: Place | None = None
    while True:
        async with open_tx() as tx:
            found = await page(tx, org, wanted, before, EXPORT_PAGE)
        yield found.entries
        if (before := found.more) is None:
            return


def _filtered(org: OrgId | None, wanted: Wanted, before: Place | None) -> Select[Entry]:
    found = select(Entry).order_by(Entry.at.desc(), Entry.id.desc())
    if org is not None:
        found = found.where(Entry.org_id == org)
    for column, value in ((Entry.actor, wanted.actor), (Entry.action, wanted.action), (Entry.target, wanted.target)):
        if value is not None:
            found = found.where(column == value)
    if wanted.severity is not None:
        # Spelled out: the planner takes the partial index only where it sees that the value is none of `info`.
        found = found.where(Entry.severity == literal_column(f"'{wanted.severity.value}'"))
    if wanted.since is not None:
        found = found.where(Entry.at >= wanted.since)
    if wanted.until is not None:
        found = found.where(Entry.at < wanted.until)
    if before is not None:
        found = found.where(tuple_(Entry.at, Entry.id) < tuple_(literal(before.at), literal(before.id)))
    return found


def _place(entry: Entry) -> Place:
    return Place(entry.at, entry.id)

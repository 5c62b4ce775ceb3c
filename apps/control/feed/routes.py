"""The route of the feed: what happened, oldest first, to be read on for ever."""

import datetime as dt
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from control import cursor as cursors
from control.accounts.permissions import Permission
from control.auth import Principal
from control.errors import BadInput
from control.feed import service as feed
from control.feed.model import EventType
from control.feed.schemas import FeedPage
from control.feed.views import view
from control.http import utc
from control.plane import Plane
from wire.clock import utcnow

PAGE = 100
PAGE_MAX = 1_000

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
Types = Annotated[list[EventType] | None, QueryParameter(name="type", description="Only these; may be repeated.")]
Since = Annotated[
    dt.datetime | None, QueryParameter(description="Nothing that happened before; for who begins without a cursor.")
]


@get(
    "/events",
    permission=Permission.JOBS_READ,
    summary="What happened to jobs and files, oldest first; ask again with `next_cursor`, and nothing is missed",
    tags=["events"],
)
async def list_events(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    types: Types = None,
    since: Since = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> FeedPage:
    now, last = utcnow(), 0
    if cursor is not None:
        read_at, last = cursors.moment_of(cursor)
        if read_at < now - dt.timedelta(seconds=feed.KEPT_S):
            raise BadInput(
                "This cursor is older than what is kept, so something may be missing: begin again without it.",
                code="cursor_expired",
            )
    async with plane.asking(who.asker) as tx:
        newest = await feed.newest(tx, who.org)
        found = await feed.after(tx, who.org, last, types or [], utc(since), limit + 1)
    page, more = found[:limit], len(found) > limit
    seen = page[-1].seq if more else max(newest, last, *(row.seq or 0 for row in page))
    return FeedPage([view(row) for row in page], cursors.after_moment(now, seen or 0), more)


ROUTES = [list_events]

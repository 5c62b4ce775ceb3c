"""Operators' routes on the public listener: dead letters, listed and replayed."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody, QueryParameter

from control import cursor as cursors
from control.accounts.permissions import Permission
from control.admin import service as admin
from control.admin.schemas import AgentName, DeadLetterPage, DeadLetterView, Replay, Replayed, Skipped
from control.admin.service import Chosen, DeadLetter
from control.auth import Principal, actor_of
from control.errors import BadInput
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow
from wire.failures import reason

TAG = ["admin"]
PAGE = 50
PAGE_MAX = 200
CODE_CHARS_MAX = 64

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
Code = Annotated[str | None, QueryParameter(max_length=CODE_CHARS_MAX, description="Only of this failure.")]


@get(
    "/admin/dead-letters",
    permission=Permission.DEAD_LETTERS_READ,
    tags=TAG,
    summary="Transfers that were given up, newest first",
)
async def list_dead_letters(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    code: Code = None,
    org: FromQuery[UUID | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> DeadLetterPage:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.working() as tx:
        found = await admin.dead_letters(tx, Chosen(code=code, org=org), before, limit + 1)
        names = await admin.names_of(tx, found)
        counts = await admin.counts(tx)
    page = found[:limit]
    more = cursors.after_id(page[-1].transfer.id) if len(found) > limit else None
    return DeadLetterPage([_view(letter, names) for letter in page], more, counts)


@post(
    "/admin/dead-letters/replay",
    status_code=200,
    permission=Permission.DEAD_LETTERS_WRITE,
    tags=TAG,
    summary="Give dead letters another five tries, by id or by filter",
)
async def replay_dead_letters(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], data: JSONBody[Replay]
) -> Replayed:
    if data.ids is None and data.code is None and data.org is None and not data.everything:
        raise BadInput("Name ids, a code, an organisation, or say `everything`.", code="nothing_named")
    if data.ids is not None and (data.code is not None or data.org is not None or data.everything):
        raise BadInput("Name ids or a filter, not both.", code="ids_and_filter")
    chosen = Chosen(ids=data.ids, code=data.code, org=data.org)
    outcome = await admin.replay(plane, chosen, actor_of(request, who), utcnow())
    return Replayed(outcome.replayed, [Skipped(each, code) for each, code in outcome.skipped], outcome.left)


def _view(letter: DeadLetter, names: dict[str, str]) -> DeadLetterView:
    transfer = letter.transfer
    assert transfer.dead_at is not None  # or it would not be listed
    code = transfer.failure_code or ""
    return DeadLetterView(
        id=transfer.id,
        org=transfer.scope_id,
        jobs=letter.jobs,
        name=letter.torrent.name,
        code=code,
        sentence=reason(code).sentence,
        detail=transfer.failure_detail,
        tries=transfer.tries,
        agents=[AgentName(UUID(agent), names.get(agent)) for agent in transfer.last_agents],
        size_bytes=transfer.size_bytes,
        at=transfer.dead_at,
    )


ROUTES: list[HTTPRouteHandler] = [list_dead_letters, replay_dead_letters]

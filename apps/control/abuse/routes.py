"""Routes of takedown cases: anybody sends a notice or a counter-notice; admins read and decide."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from control import cursor as cursors
from control.abuse import cases
from control.abuse.model import Case
from control.abuse.schemas import CasePage, CaseView, Countered, CounterNotice, Notice, Received
from control.abuse.states import CaseState, Decision, decisions
from control.accounts import bots, throttle
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.proof import Reason, prove
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.db import Asker
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow

TAG = ["takedowns"]
PAGE = 50
PAGE_MAX = 200

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
States = Annotated[list[CaseState] | None, QueryParameter(name="state", description="Only these; may be repeated.")]


class Decide(Struct, frozen=True, forbid_unknown_fields=True):
    decision: Decision
    reason: Reason
    """Both sides read it in their mail."""
    password: str | None = None
    """Once more; who has none signs in again first."""


@post(
    "/takedowns",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=201,
    summary="Send a takedown notice: it becomes a case, and admins decide",
    tags=TAG,
)
async def send_notice(
    data: JSONBody[Notice], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> Received:
    now = utcnow()
    await bots.count(plane, throttling, request, throttle.NOTICE, data.bot_check, now)
    async with plane.asking(Asker()) as tx:
        case = await cases.receive(tx, plane.settings.vault, data, actor_of(request), now)
    await plane.nudge("mail")
    return Received(case)


@post(
    "/takedowns/{case_id:uuid}/counter-notice",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=204,
    summary="Answer a case by which something of yours was blocked",
    tags=TAG,
)
async def send_counter_notice(
    case_id: FromPath[UUID],
    data: JSONBody[CounterNotice],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> None:
    """Who knows the case's id was told it: by our mail, or by the job that failed of it."""
    now = utcnow()
    await bots.count(plane, throttling, request, throttle.NOTICE, data.bot_check, now)
    async with plane.working() as tx:
        await cases.counter(tx, plane.settings.vault, case_id, data, actor_of(request), now)
    await plane.nudge("mail")


@get("/admin/cases", permission=Permission.CASES_READ, summary="Takedown cases, newest first", tags=TAG)
async def list_cases(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    states: States = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> CasePage:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.working() as tx:
        found = await cases.listed(tx, states or [], before, limit + 1)
    more = cursors.after_id(found[limit - 1].id) if len(found) > limit else None
    return CasePage([_view(each) for each in found[:limit]], more)


@get("/admin/cases/{case_id:uuid}", permission=Permission.CASES_READ, summary="One case", tags=TAG)
async def show_case(
    case_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> CaseView:
    async with plane.working() as tx:
        return _view(await cases.get(tx, case_id))


@post(
    "/admin/cases/{case_id:uuid}/decide",
    permission=Permission.CASES_WRITE,
    refuses=[429],
    status_code=200,
    summary="Block what a case names, reject it, or let in again; with a reason, told to both sides, and your password",
    tags=TAG,
)
async def decide_case(
    case_id: FromPath[UUID],
    data: JSONBody[Decide],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> CaseView:
    await prove(plane, throttling, request, who, data.password)
    actor, now = actor_of(request, who), utcnow()
    async with plane.working() as tx:
        done = _view(await cases.decide(tx, plane.settings.vault, case_id, data.decision, data.reason, actor, now))
    for each in ("blocked", "mail"):
        await plane.nudge(each)
    return done


def _view(case: Case) -> CaseView:
    return CaseView(
        id=case.id,
        state=case.state,
        decisions=sorted(decisions(case.state)),
        hashes=case.hashes,
        name=case.name,
        email=case.email,
        on_behalf_of=case.on_behalf_of,
        work=case.work,
        signature=case.signature,
        created_at=case.created_at,
        decided_by=case.decided_by,
        reason=case.decided_for,
        decided_at=case.decided_at,
        counter=_counter(case),
    )


def _counter(case: Case) -> Countered | None:
    if case.countered_at is None:
        return None
    return Countered(
        name=case.counter_name or "",
        email=case.counter_email or "",
        statement=case.counter_statement or "",
        signature=case.counter_signature or "",
        at=case.countered_at,
    )


FOR_EVERYBODY = [send_notice, send_counter_notice]
ROUTES = [list_cases, show_case, decide_case]

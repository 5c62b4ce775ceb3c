"""Routes of sessions and of the second factor."""

from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import second, sessions
from control.accounts.devices import device
from control.accounts.model import Session
from control.accounts.permissions import Permission
from control.accounts.proof import prove
from control.accounts.self_schemas import (
    Code,
    Ended,
    Offered,
    Proof,
    ProvedCode,
    RecoveryCodes,
    SecondFactor,
    Sessions,
    SessionView,
)  # fmt: skip
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, session_cookie
from control.errors import BadInput, Conflict
from control.http import Asked
from control.plane import Plane
from control.plans import allowance
from wire.clock import utcnow

TAG = ["accounts"]


@get("/auth/sessions", permission=Permission.PROFILE_WRITE, summary="Where I am signed in", tags=TAG)
async def list_sessions(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Sessions:
    async with plane.asking(who.asker) as tx:
        mine = await sessions.listed(tx, who.person, utcnow())
        return Sessions([_view(each, who.by) for each in mine], await allowance.sessions_max(tx))


@delete(
    "/auth/sessions/{session:uuid}",
    permission=Permission.PROFILE_WRITE,
    status_code=204,
    summary="End one of my sessions",
    tags=TAG,
)
async def end_session(
    session: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await sessions.end(tx, who.person, session, actor_of(request, who), utcnow())


@post(
    "/auth/sessions/end-others",
    permission=Permission.PROFILE_WRITE,
    status_code=200,
    summary="End all my sessions but this one",
    tags=TAG,
)
async def end_others(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Ended:
    async with plane.asking(who.asker) as tx:
        return Ended(await sessions.end_all(tx, who.person, actor_of(request, who), utcnow(), but=who.by))


@get("/auth/second-factor", permission=Permission.PROFILE_WRITE, summary="Whether signing in needs a code", tags=TAG)
async def second_factor(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> SecondFactor:
    async with plane.asking(who.asker) as tx:
        standing = await second.standing(tx, who.person)
    return SecondFactor(standing.on_since, standing.recovery_codes_left)


@post(
    "/auth/second-factor",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=201,
    summary="Begin: a secret for an authenticator app",
    tags=TAG,
)
async def offer_second(
    data: JSONBody[Proof],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> Offered:
    """Nothing changes until a first code is confirmed."""
    await prove(plane, throttling, request, who, data.password)
    async with plane.asking(who.asker) as tx:
        offered = await second.offer(tx, plane.settings.vault, who.person, who.email, actor_of(request, who), utcnow())
    return Offered(offered.secret, offered.uri)


@post(
    "/auth/second-factor/confirm",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=200,
    summary="Turn it on with a first code",
    tags=TAG,
)
async def confirm_second(
    data: JSONBody[Code], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Response[RecoveryCodes]:
    """Gives ten recovery codes, once. The session's token turns over and all other sessions end."""
    actor, now = actor_of(request, who), utcnow()
    async with plane.asking(who.asker) as tx:
        codes = await second.confirm(tx, plane.settings.vault, who.person, data.code, actor, now)
        await sessions.end_all(tx, who.person, actor, now, but=who.by)
        token = await sessions.turn_over(tx, who.by)
    return Response(RecoveryCodes(codes), cookies=[session_cookie(plane.settings, token, sessions.SESSION_S)])


@post(
    "/auth/second-factor/recovery-codes",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=200,
    summary="Ten new recovery codes",
    tags=TAG,
)
async def renew_codes(
    data: JSONBody[Proof],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> RecoveryCodes:
    """The earlier ones are void."""
    await prove(plane, throttling, request, who, data.password)
    async with plane.asking(who.asker) as tx:
        if not await second.is_on(tx, who.person):
            raise Conflict("There is no second factor.", code="second_factor_off")
        return RecoveryCodes(await second.renew_codes(tx, who.person, actor_of(request, who), utcnow()))


@post(
    "/auth/second-factor/end",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=204,
    summary="Sign in without a code again",
    tags=TAG,
)
async def end_second(
    data: JSONBody[ProvedCode],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> Response[None]:
    await prove(plane, throttling, request, who, data.password)
    actor, now = actor_of(request, who), utcnow()
    async with plane.asking(who.asker) as tx:
        if not await second.accepts(tx, plane.settings.vault, who.person, data.code, actor, now):
            raise BadInput("This code is not right, or was used already.", code="bad_code")
        await second.end(tx, plane.settings.vault, who.person, who.email, actor, now)
        token = await sessions.turn_over(tx, who.by)
    await plane.nudge("mail")
    return Response(None, cookies=[session_cookie(plane.settings, token, sessions.SESSION_S)])


def _view(session: Session, current: UUID) -> SessionView:
    return SessionView(
        id=session.id,
        device=device(session.user_agent),
        network=session.network,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        current=session.id == current,
    )


ROUTES = [
    list_sessions, end_session, end_others, second_factor, offer_second, confirm_second, renew_codes, end_second,
]  # fmt: skip

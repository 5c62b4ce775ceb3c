"""Routes of accounts: sign in and out, who am I."""

import datetime as dt
from contextlib import suppress
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from control.accounts import bots, sessions, sign_in, throttle
from control.accounts import service as accounts
from control.accounts.known import Known
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.schemas import LogIn, Me, OrganisationView
from control.accounts.self_schemas import LogInCode, Pending
from control.accounts.sign_in import HalfWay, SignedIn
from control.accounts.throttle import Throttle, Throttled
from control.auth import Principal, actor_of, browser_of, csrf_token, session_cookie
from control.errors import NotSignedIn
from control.http import Asked, client_ip, tell_about, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]
_OR_NOT_YET = {False: "", True: ", or nobody has confirmed the address yet: look for our mail"}


@post(
    "/auth/login",
    permission=ANYBODY,
    refuses=[401, 403, 429],
    status_code=200,
    summary="Sign in: gives the session's cookie and its CSRF token, or asks for a code",
    tags=TAG,
    responses={202: ResponseSpec(Pending, description="The password is right; send a code to /auth/login/code.")},
)
async def log_in(
    data: JSONBody[LogIn],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Response[Me]:
    now, ip = utcnow(), throttle.address(client_ip(request))
    account = data.email.strip().lower()[: accounts.EMAIL_CHARS_MAX]
    suspicious = not await _has_tries(plane, throttling, account, ip, now)
    await bots.check(plane, throttling, request, data.bot_check, now, suspicious=suspicious)
    tell_rate(request, (await throttling.hit(throttle.TRY_PASSWORD, account, ip, now=now)).headers)
    browser, actor = browser_of(request, plane.settings), actor_of(request)
    answer = await sign_in.with_password(plane, data.email, data.password, browser, actor, now)
    if answer is None:
        tell_about(request, await sign_in.tried(plane, email=account))
        await _failed(throttling, account, ip, now)
        raise NotSignedIn(f"E-mail and password do not belong together{_OR_NOT_YET[plane.settings.must_verify]}.",
                          code="bad_credentials")  # fmt: skip
    return welcome(plane, answer)


async def _has_tries(plane: Plane, throttling: Throttle, account: str, ip: str, now: dt.datetime) -> bool:
    """Of an account they end wherever they come from, and then everybody works for each, its owner included: what costs
    one person a second costs who guesses years, and keeps nobody out."""
    if plane.settings.bot_check == "off":
        await throttling.check(throttle.FAIL_PASSWORD, ip, now=now)
        return True
    return await throttling.has_room(throttle.FAIL_PASSWORD, ip, now=now) and await throttling.has_room(
        throttle.FAIL_ACCOUNT, account, now=now
    )


async def _failed(throttling: Throttle, account: str, ip: str, now: dt.datetime) -> None:
    """Counted; where there is nothing left the next one is asked for a check."""
    for rule, whose in ((throttle.FAIL_PASSWORD, ip), (throttle.FAIL_ACCOUNT, account)):
        with suppress(Throttled):
            await throttling.hit(rule, whose, now=now)


@post(
    "/auth/login/code",
    permission=ANYBODY,
    refuses=[401, 403, 429],
    status_code=200,
    summary="Sign in, second step: a code of the app, or a recovery code",
    tags=TAG,
)
async def log_in_code(
    data: JSONBody[LogInCode],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Response[Me]:
    now, ip = utcnow(), throttle.address(client_ip(request))
    await throttling.check(throttle.FAIL_PASSWORD, ip, now=now)
    person = await sign_in.owner_of(plane, data.pending)
    if person is not None:
        await throttling.check(throttle.FAIL_CODE, str(person), now=now)
    browser, actor = browser_of(request, plane.settings), actor_of(request)
    signed_in = await sign_in.with_code(plane, data.pending, data.code, browser, actor, now)
    if signed_in is None:
        tell_about(request, await sign_in.tried(plane, person=person))
        await throttling.hit(throttle.FAIL_PASSWORD, ip, now=now)
        assert person is not None  # else there was nothing to try
        if (await throttling.hit(throttle.FAIL_CODE, str(person), now=now)).left == 0:
            await sign_in.warn(plane, person, now)
            await plane.nudge("mail")
        raise NotSignedIn("This code is not right, or was used already.", code="bad_code")
    return welcome(plane, signed_in)


def welcome(plane: Plane, answer: SignedIn | HalfWay) -> Response[Any]:
    if isinstance(answer, HalfWay):
        return Response(Pending(answer.pending, answer.until), status_code=202)
    return Response(
        me_view(answer.known, csrf_token(plane.settings, answer.known)),
        cookies=[session_cookie(plane.settings, answer.token, sessions.SESSION_S)],
    )


@post("/auth/logout", permission=Permission.PROFILE_WRITE, status_code=204, summary="End this session", tags=TAG)
async def log_out(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Response[None]:
    async with plane.asking(who.asker) as tx:
        await sessions.end(tx, who.person, who.by, actor_of(request, who), utcnow())
    return Response(None, cookies=[session_cookie(plane.settings, "", 0)])


@get("/auth/me", permission=Permission.PROFILE_READ, summary="Who am I", tags=TAG)
async def me(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Me:
    return me_view(who, csrf_token(plane.settings, who))


def me_view(known: Known, csrf: str | None) -> Me:
    place = known.place
    return Me(
        id=known.person,
        email=known.email,
        platform_role=known.platform_role,
        organisation=OrganisationView(place.org, place.name, place.role) if place else None,
        permissions=sorted(known.permissions),
        to_accept=known.to_accept,
        csrf_token=csrf,
    )


FOR_EVERYBODY = [log_in, log_in_code]
ROUTES = [log_out, me]

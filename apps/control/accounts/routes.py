"""Routes of accounts: sign in and out, who am I, tokens, API keys."""

from typing import Any
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from control.accounts import service as accounts
from control.accounts import sessions, sign_in, throttle, tokens
from control.accounts.model import ApiKey
from control.accounts.schemas import (
    CreateKey,
    KeyCreated,
    Keys,
    KeyView,
    LogIn,
    Me,
    OrganisationView,
    TokenView,
)  # fmt: skip
from control.accounts.self_schemas import LogInCode, Pending
from control.accounts.sign_in import HalfWay, SignedIn
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, browser_of, claims_of, session_cookie
from control.errors import NotSignedIn
from control.http import Asked, client_ip, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]
_OR_NOT_YET = {False: "", True: ", or nobody has confirmed the address yet: look for our mail"}


@post(
    "/auth/login",
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
    await throttling.check(throttle.FAIL_PASSWORD, ip, now=now)
    account = data.email.strip().lower()[: accounts.EMAIL_CHARS_MAX]
    tell_rate(request, (await throttling.hit(throttle.TRY_PASSWORD, account, ip, now=now)).headers)
    browser, actor = browser_of(request, plane.settings), actor_of(request)
    answer = await sign_in.with_password(plane, data.email, data.password, browser, actor, now)
    if answer is None:
        await throttling.hit(throttle.FAIL_PASSWORD, ip, now=now)
        raise NotSignedIn(f"E-mail and password do not belong together{_OR_NOT_YET[plane.settings.must_verify]}.",
                          code="bad_credentials")  # fmt: skip
    return welcome(plane, answer)


@post(
    "/auth/login/code", status_code=200, summary="Sign in, second step: a code of the app, or a recovery code", tags=TAG
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
    known = answer.known
    csrf = tokens.csrf(plane.settings.secret, answer.session)
    return Response(
        Me(known.person, known.email, known.platform_role, OrganisationView(known.org, known.org_name), csrf),
        cookies=[session_cookie(plane.settings, answer.token, sessions.SESSION_S)],
    )


@post("/auth/logout", status_code=204, summary="End this session", tags=TAG)
async def log_out(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Response[None]:
    if who.kind == "session":
        async with plane.asking(who.asker) as tx:
            await sessions.end(tx, who.person, who.by, actor_of(request, who), utcnow())
    return Response(None, cookies=[session_cookie(plane.settings, "", 0)])


@get("/auth/me", summary="Who am I", tags=TAG)
async def me(who: NamedDependency[Principal]) -> Me:
    organisation = OrganisationView(who.org, who.org_name)
    return Me(who.person, who.email, who.platform_role, organisation, who.csrf_token)


@post("/auth/token", status_code=201, summary="A token of ten minutes, for an API key", tags=TAG)
async def token(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> TokenView:
    minted, until = tokens.mint(plane.settings.secret, claims_of(who), utcnow())
    return TokenView(minted, "Bearer", until)


@post("/auth/keys", status_code=201, summary="Make an API key; its secret is shown once", tags=TAG)
async def create_key(
    data: JSONBody[CreateKey], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> KeyCreated:
    async with plane.asking(who.asker) as tx:
        key, secret = await accounts.create_key(tx, who.person, who.org, data.name, actor_of(request, who), utcnow())
    return KeyCreated(key.id, key.name, key.prefix, key.created_at, secret)


@get("/auth/keys", summary="The organisation's API keys", tags=TAG)
async def list_keys(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Keys:
    async with plane.asking(who.asker) as tx:
        return Keys([_view(key) for key in await accounts.keys(tx, who.org)])


@delete("/auth/keys/{key_id:uuid}", status_code=204, summary="Revoke an API key, at once", tags=TAG)
async def revoke_key(
    key_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await accounts.revoke_key(tx, who.org, key_id, actor_of(request, who), utcnow())


def _view(key: ApiKey) -> KeyView:
    return KeyView(key.id, key.name, key.prefix, key.created_at, key.last_used_at)


FOR_EVERYBODY = [log_in, log_in_code]
ROUTES = [log_out, me, token, create_key, list_keys, revoke_key]

"""Routes of accounts: register, sign in and out, who am I."""

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from control.accounts import service as accounts
from control.accounts import throttle
from control.accounts.known import Known
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.schemas import LogIn, Me, OrganisationView, Register
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, csrf_token, session_cookie
from control.errors import NotSignedIn
from control.http import Asked, client_ip, tell_about, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]


@post(
    "/auth/register",
    permission=ANYBODY,
    refuses=[409],
    status_code=201,
    summary="Make an account and its organisation",
    tags=TAG,
)
async def register(
    data: JSONBody[Register],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Me:
    now = utcnow()
    tell_rate(request, (await throttling.hit(throttle.REGISTER, throttle.address(client_ip(request)), now=now)).headers)
    known = await accounts.register(plane.db, data.email, data.password, data.name, actor_of(request), now)
    return me_view(known, None)


@post(
    "/auth/login",
    permission=ANYBODY,
    refuses=[401],
    status_code=200,
    summary="Sign in: gives the session's cookie and its CSRF token",
    tags=TAG,
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
    browser = request.headers.get("User-Agent")
    signed_in = await accounts.log_in(plane.db, data.email, data.password, browser, actor_of(request), now)
    if signed_in is None:
        tell_about(request, await accounts.whose(plane.db, account))
        await throttling.hit(throttle.FAIL_PASSWORD, ip, now=now)
        raise NotSignedIn("E-mail and password do not belong together.", code="bad_credentials")
    return Response(
        me_view(signed_in.known, csrf_token(plane.settings, signed_in.known)),
        cookies=[session_cookie(plane.settings, signed_in.token, accounts.SESSION_S)],
    )


@post("/auth/logout", permission=Permission.PROFILE_WRITE, status_code=204, summary="End this session", tags=TAG)
async def log_out(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Response[None]:
    async with plane.asking(who.asker) as tx:
        await accounts.log_out(tx, who.by, actor_of(request, who), utcnow())
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
        csrf_token=csrf,
    )


ROUTES = [register, log_in, log_out, me]

"""Routes of accounts: register, sign in and out, who am I, tokens, API keys."""

from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import service as accounts
from control.accounts import throttle, tokens
from control.accounts.model import ApiKey
from control.accounts.schemas import (
    CreateKey,
    KeyCreated,
    Keys,
    KeyView,
    LogIn,
    Me,
    OrganisationView,
    Register,
    TokenView,
)  # fmt: skip
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, claims_of, session_cookie
from control.errors import NotSignedIn
from control.http import Asked, client_ip, tell_about, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]


@post("/auth/register", status_code=201, summary="Make an account and its organisation", tags=TAG)
async def register(
    data: JSONBody[Register],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Me:
    now = utcnow()
    tell_rate(request, (await throttling.hit(throttle.REGISTER, throttle.address(client_ip(request)), now=now)).headers)
    known = await accounts.register(plane.db, data.email, data.password, data.name, actor_of(request), now)
    return Me(known.person, known.email, known.platform_role, OrganisationView(known.org, known.org_name), None)


@post("/auth/login", status_code=200, summary="Sign in: gives the session's cookie and its CSRF token", tags=TAG)
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
    known = signed_in.known
    csrf = tokens.csrf(plane.settings.secret, signed_in.session)
    return Response(
        Me(known.person, known.email, known.platform_role, OrganisationView(known.org, known.org_name), csrf),
        cookies=[session_cookie(plane.settings, signed_in.token, accounts.SESSION_S)],
    )


@post("/auth/logout", status_code=204, summary="End this session", tags=TAG)
async def log_out(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Response[None]:
    if who.kind == "session":
        async with plane.asking(who.asker) as tx:
            await accounts.log_out(tx, who.by, actor_of(request, who), utcnow())
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


FOR_EVERYBODY = [register, log_in]
ROUTES = [log_out, me, token, create_key, list_keys, revoke_key]

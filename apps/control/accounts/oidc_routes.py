"""Routes of signing in by way of another provider."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from control.accounts import identities, oidc, sessions, throttle
from control.accounts.identities import ToConnect, Unverified
from control.accounts.model import Identity
from control.accounts.oidc import BEGUN_S, OidcFailed, Providers
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.self_schemas import Token
from control.accounts.sign_in import HalfWay
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, browser_of, session_cookie
from control.config import Settings
from control.errors import Refusal, Suspended, Unavailable
from control.http import Asked, client_ip, tell_rate
from control.plane import Plane
from telemetry import logs
from wire.clock import utcnow

log = logs.get(__name__)

TAG = ["accounts"]
PAGE = "/account.html"


class ProviderView(Struct, frozen=True):
    name: str
    title: str


class ProviderViews(Struct, frozen=True):
    items: list[ProviderView]


class Elsewhere(Struct, frozen=True):
    url: str
    """Where the browser goes now; it comes back signed in."""


class IdentityView(Struct, frozen=True):
    id: UUID
    provider: str
    email: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class IdentityViews(Struct, frozen=True):
    items: list[IdentityView]


@get(
    "/auth/providers",
    permission=ANYBODY,
    summary="Other providers that one can sign in with",
    tags=TAG,
    sync_to_thread=False,
)
def list_providers(providers: NamedDependency[Providers]) -> ProviderViews:
    return ProviderViews([ProviderView(each.name, each.title) for each in providers.all])


@post(
    "/auth/providers/{name:str}/begin",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=200,
    summary="Begin to sign in with another provider",
    tags=TAG,
)
async def begin(
    name: FromPath[str],
    request: Asked,
    plane: NamedDependency[Plane],
    providers: NamedDependency[Providers],
    throttling: NamedDependency[Throttle],
) -> Response[Elsewhere]:
    ip = throttle.address(client_ip(request))
    tell_rate(request, (await throttling.hit(throttle.BY_MAIL, ip, now=utcnow())).headers)
    try:
        url, begun = await providers.begin(name, utcnow())
    except OidcFailed as failure:
        log.warning("oidc.failed", provider=name, reason=str(failure))
        raise Unavailable("The other provider does not answer; try again in a moment.") from None
    return Response(Elsewhere(url), cookies=[_cookie(plane.settings, oidc.kept(plane.settings.vault, begun), BEGUN_S)])


@get(
    "/auth/providers/{name:str}/callback",
    permission=ANYBODY,
    status_code=303,
    summary="Where the other provider sends browsers",
    tags=TAG,
)
async def callback(
    name: FromPath[str],
    request: Asked,
    plane: NamedDependency[Plane],
    providers: NamedDependency[Providers],
    code: FromQuery[str | None] = None,
    shown: Annotated[str | None, QueryParameter(name="state")] = None,  # `state` is Litestar's own
    error: FromQuery[str | None] = None,
    iss: FromQuery[str | None] = None,
) -> Response[None]:
    """Always back to a page of ours: whatever went wrong is said there."""
    providers.named(name)
    now, settings = utcnow(), plane.settings
    cookie = request.cookies.get(_cookie_name(settings), "")
    begun = oidc.begun_by(settings.vault, cookie, name, shown or "", now)
    if begun is None:
        return _back(settings, f"{PAGE}#error=oidc_expired")
    if error is not None or code is None:
        return _back(settings, f"{PAGE}#error=oidc_denied")
    try:
        claims = await providers.finish(begun, code, iss, now)
        entered = await identities.enter(plane, claims, browser_of(request, settings), actor_of(request), now)
    except Unverified:
        return _back(settings, f"{PAGE}#error=oidc_unverified")
    except Suspended:
        return _back(settings, f"{PAGE}#error=suspended")
    except (OidcFailed, Refusal) as failure:
        log.warning("oidc.failed", provider=name, reason=str(failure))
        return _back(settings, f"{PAGE}#error=oidc_failed")
    if isinstance(entered, ToConnect):
        return _back(settings, f"{PAGE}#link={entered.token}")
    if isinstance(entered, HalfWay):
        return _back(settings, f"{PAGE}#code={entered.pending}")
    return _back(settings, "/", session_cookie(settings, entered.token, sessions.SESSION_S))


@get("/auth/identities", permission=Permission.PROFILE_WRITE, summary="Other providers that open my account", tags=TAG)
async def list_identities(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> IdentityViews:
    async with plane.asking(who.asker) as tx:
        return IdentityViews([_view(each) for each in await identities.listed(tx, who.person)])


@post(
    "/auth/identities",
    permission=Permission.PROFILE_WRITE,
    refuses=[409],
    status_code=201,
    summary="Let another provider open my account",
    tags=TAG,
)
async def connect(
    data: JSONBody[Token], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> IdentityView:
    """The token is the one that signing in there ended with."""
    identity = await identities.connect(plane, who.asker, data.token, actor_of(request, who), utcnow())
    await plane.nudge("mail")
    return _view(identity)


@delete(
    "/auth/identities/{identity:uuid}",
    permission=Permission.PROFILE_WRITE,
    status_code=204,
    summary="Let it open my account no more",
    tags=TAG,
)
async def remove_identity(
    identity: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await identities.remove(tx, who.person, identity, actor_of(request, who), utcnow())


def _view(identity: Identity) -> IdentityView:
    return IdentityView(identity.id, identity.provider, identity.email, identity.created_at, identity.last_used_at)


def _back(settings: Settings, where: str, *cookies: Cookie) -> Response[None]:
    """What the browser kept is used up, whatever came of it."""
    return Response(None, status_code=303, headers={"Location": where}, cookies=[_cookie(settings, "", 0), *cookies])


def _cookie(settings: Settings, value: str, lasts_s: int) -> Cookie:
    """Lax, since the browser comes back from another site."""
    return Cookie(
        key=_cookie_name(settings),
        value=value,
        max_age=lasts_s,
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )


def _cookie_name(settings: Settings) -> str:
    return "__Host-oidc" if settings.secure_cookies else "oidc"


FROM_ELSEWHERE = [list_providers, callback]
"""For everybody, also where another site sends them."""
FOR_EVERYBODY = [begin]
ROUTES = [list_identities, connect, remove_identity]

"""Who is asking, and may they: a session's cookie, an API key, or a short-lived JWT; and the CSRF token of a cookie.

    Cookie: session=…             browsers; every change also needs X-CSRF-Token
    Authorization: Bearer slk_…   programs
    Authorization: Bearer eyJ…    ten minutes, from POST /api/v1/auth/token

An Authorization header goes before a cookie: whoever sends one is not a browser that was tricked. Every route names the
permission it needs (`permission=…`); the guard asks the table before anything else of the request is read.
"""

import datetime as dt
from collections.abc import Collection
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct, structs

from control.accounts import devices, throttle, tokens
from control.accounts import known as accounts
from control.accounts.known import Known, Seen
from control.accounts.permissions import ANYBODY, BY_SESSION, IN_ORGANISATION, Permission, granted
from control.accounts.sessions import Browser
from control.accounts.throttle import Throttle
from control.audit.service import Actor
from control.config import Settings
from control.db import Asker
from control.errors import Denied, Forbidden, NotSignedIn, Suspended, TermsNotAccepted
from control.http import Asked, client_ip, request_id, tell_rate
from control.plane import Plane
from wire.clock import utcnow
from wire.ids import OrgId, SessionId

CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
FOREIGN = frozenset({"cross-site", "same-site"})
"""What browsers say of requests that no page of ours makes."""
SECRET_CHARS_MAX = 4096
"""The longest thing that we hand out is a JWT with every scope, of some 600."""
API_PATH = "/api/v1/"
SCHEMA_PATH = "/api/schema"
"""Litestar's own handler, and for everybody."""

Connection = ASGIConnection[Any, Any, Any, Any]


class Principal(Known, frozen=True, kw_only=True):
    """Who is asking, and for which organisation."""

    @property
    def name(self) -> str:
        """In audit rows and as the owner of idempotency keys."""
        return f"person:{self.person}" if self.kind == "session" else f"key:{self.by}"

    @property
    def org(self) -> OrgId:
        if self.place is None:
            raise Forbidden("You are in no organisation now: choose one, or make one.", code="no_organisation")
        return self.place.org

    @property
    def asker(self) -> Asker:
        org = self.place.org if self.place else None
        return Asker(org=org, person=self.person, operator=Permission.FLEET_READ in self.permissions)

    def check(self, permission: Permission) -> None:
        self._check_standing(permission)
        if permission in self.permissions:
            return
        role = self.place.role if self.place else None
        if permission in granted(role, self.platform_role, "session", None):
            raise Denied(permission, f"this {self.kind} does not carry it.")
        if role is None and permission in IN_ORGANISATION:
            raise Denied(permission, "you are in no organisation now; choose one, or make one.")
        if permission in IN_ORGANISATION:
            raise Denied(permission, f"your role in this organisation is {role}.")
        raise Denied(permission, f"your role on the platform is {self.platform_role}.")

    def _check_standing(self, permission: Permission) -> None:
        """Whoever is suspended may nothing. Who has not accepted the terms, or is in an organisation that is suspended,
        may look after the own account; keys belong to an organisation, and may nothing."""
        if self.suspended:
            raise Suspended("This account is suspended: ask support why.")
        if self.to_accept is not None and (self.kind != "session" or permission not in BY_SESSION):
            raise TermsNotAccepted(
                f"Accept version {self.to_accept} of the terms first: read them at GET {API_PATH}terms, then sign in,"
                f" and send the version to POST {API_PATH}terms/accept."
            )
        in_it = self.kind != "session" or permission in IN_ORGANISATION
        if in_it and self.place is not None and self.place.suspended:
            raise Suspended("This organisation is suspended: ask support why.", code="organisation_suspended")


class Declared(Struct, frozen=True):
    """What a route says of itself."""

    needed: Permission | str
    refuses: Collection[int]
    """Statuses beside those that follow from its path, its body and its permission."""


def declared(app: Litestar) -> dict[tuple[str, str], Declared]:
    """By path and method. A route that does not say what it needs is a bug, found at the start."""
    found: dict[tuple[str, str], Declared] = {}
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods - {"OPTIONS"}:
                needed = handler.opt.get("permission", ANYBODY if route.path.startswith(SCHEMA_PATH) else None)
                if needed != ANYBODY and not isinstance(needed, Permission):
                    raise LookupError(f"{method} {route.path} does not say which permission it needs")
                found[route.path_format, method.lower()] = Declared(needed, handler.opt.get("refuses", ()))
    return found


async def allowed(plane: Plane, throttling: Throttle, connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard of every route."""
    needed = handler.opt.get("permission", ANYBODY)
    request, now = Asked(connection.scope), utcnow()
    source = throttle.address(client_ip(request))
    if needed == ANYBODY:
        if connection.scope["path"].startswith(API_PATH):
            tell_rate(request, (await throttling.hit(throttle.ANYBODY, source, now=now)).headers)
        return
    try:
        who = await _identified(request, plane)
    except NotSignedIn:
        tell_rate(request, (await throttling.hit(throttle.ANYBODY, source, now=now)).headers)
        raise
    connection.scope["state"]["who"] = who  # also for what is refused from here on
    rule = throttle.READ if request.method in SAFE else throttle.WRITE
    tell_rate(request, (await throttling.hit(rule, who.name, now=now)).headers)
    _must_be_meant(connection, plane, who)
    who.check(needed)


def principal(request: Asked) -> Principal:
    """The dependency `who` of every route that is not for everybody; the guard has found out."""
    who: Principal = request.scope["state"]["who"]
    return who


def actor_of(request: Asked, who: Principal | None = None) -> Actor:
    return Actor(
        name=who.name if who else "somebody",
        org=who.place.org if who and who.place else None,
        request_id=request_id(request),
        ip=client_ip(request),
    )


async def _identified(request: Asked, plane: Plane) -> Principal:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(secret) <= SECRET_CHARS_MAX or not secret.isascii():
            raise NotSignedIn("The Authorization header is neither an API key nor a token.")
        return await (_by_key(request, plane, secret) if tokens.is_key(secret) else _by_jwt(plane, secret))
    cookie = request.cookies.get(cookie_name(plane.settings))
    if not cookie or len(cookie) > SECRET_CHARS_MAX or not cookie.isascii():
        raise NotSignedIn("Sign in first, or send an API key as `Authorization: Bearer …`.")
    return await _by_cookie(request, plane, cookie)


def _must_be_meant(connection: Connection, plane: Plane, who: Principal) -> None:
    """A cookie comes along by itself, whoever made the page: a change needs the session's other token as well."""
    if who.kind != "session" or connection.scope["method"] in SAFE:  # type: ignore[typeddict-item] # no websockets here
        return
    given = connection.headers.get(CSRF_HEADER, "")
    if not any(tokens.same(given, tokens.csrf(secret, SessionId(who.by))) for secret in plane.settings.secrets):
        raise Forbidden(f"Send the session's {CSRF_HEADER} with every change (see GET /api/v1/auth/me).", code="csrf")


def from_here(connection: Connection, handler: BaseRouteHandler) -> None:
    """A guard where a cookie may be set: another site's page must not sign its visitors in as somebody else."""
    if connection.headers.get("Sec-Fetch-Site") in FOREIGN:
        raise Forbidden("This was sent by another site's page.", code="cross_site")


async def _by_cookie(request: Asked, plane: Plane, token: str) -> Principal:
    token_hash, now = tokens.digest(token), utcnow()
    seen = await accounts.by_session(plane.db, token_hash, now)
    if seen is None:
        raise NotSignedIn("The session has ended: sign in again.")
    return await _used(request, plane, seen, now)


async def _by_key(request: Asked, plane: Plane, secret: str) -> Principal:
    token_hash, now = tokens.digest(secret), utcnow()
    seen = await accounts.by_key(plane.db, token_hash, now)
    if seen is None:
        raise NotSignedIn("This API key is unknown, has expired or was revoked.")
    return await _used(request, plane, seen, now)


async def _used(request: Asked, plane: Plane, seen: Seen, now: dt.datetime) -> Principal:
    who, network = _principal(seen.known), devices.network(client_ip(request))
    if seen.is_news(network, now):
        async with plane.asking(Asker(person=who.person, org=who.place.org if who.place else None)) as tx:
            await accounts.used(tx, seen, network, actor_of(request), now)
    return who


async def _by_jwt(plane: Plane, token: str) -> Principal:
    now = utcnow()
    claims = tokens.read(plane.settings.secrets, token, now)
    if claims is None:
        raise NotSignedIn("This token is not ours or has expired: get a new one with the API key.", code="bad_token")
    known = await accounts.by_claims(plane.db, claims, now)
    if known is None:
        raise NotSignedIn("The API key behind this token has expired or was revoked.")
    return _principal(known)


def _principal(known: Known) -> Principal:
    return Principal(**structs.asdict(known))


def csrf_token(settings: Settings, who: Known) -> str | None:
    """Where a cookie is involved."""
    return tokens.csrf(settings.secrets[0], SessionId(who.by)) if who.kind == "session" else None


def browser_of(request: Asked, settings: Settings) -> Browser:
    token = request.cookies.get(cookie_name(settings))
    sane = token if token and len(token) <= SECRET_CHARS_MAX and token.isascii() else None
    return Browser(request.headers.get("User-Agent"), devices.network(client_ip(request)), sane)


def cookie_name(settings: Settings) -> str:
    """`__Host-` binds it to this host and to https; without https browsers would refuse such a cookie."""
    return "__Host-session" if settings.secure_cookies else "session"


def session_cookie(settings: Settings, token: str, lasts_s: int) -> Cookie:
    """`lasts_s` 0 takes it away."""
    return Cookie(
        key=cookie_name(settings),
        value=token,
        max_age=lasts_s,
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )

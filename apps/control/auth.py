"""Who is asking: a session's cookie, an API key, or a short-lived JWT; and the CSRF token that a cookie needs.

    Cookie: session=…             browsers; every change also needs X-CSRF-Token
    Authorization: Bearer slk_…   programs
    Authorization: Bearer eyJ…    ten minutes, from POST /api/v1/auth/token

An Authorization header goes before a cookie: whoever sends one is not a browser that was tricked.
"""

from typing import Any, Literal
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from control.accounts import devices, tokens
from control.accounts import service as accounts
from control.accounts.service import Known
from control.accounts.sessions import Browser
from control.audit.service import Actor
from control.config import Settings
from control.db import Asker
from control.errors import Forbidden, NotSignedIn
from control.http import Asked, client_ip, request_id
from control.plane import Plane
from wire.clock import utcnow
from wire.ids import KeyId, OrgId, PersonId, SessionId

CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
FOREIGN = frozenset({"cross-site", "same-site"})
"""What browsers say of requests that no page of ours makes."""
SECRET_CHARS_MAX = 4096
"""The longest thing that we hand out is a JWT of some 350."""

Kind = Literal["session", "key", "token"]


class Principal(Struct, frozen=True, kw_only=True):
    """Who is asking, and for which organisation."""

    person: PersonId
    org: OrgId
    org_name: str
    email: str
    platform_role: str
    kind: Kind
    by: UUID
    """The session, or the key (also of a JWT)."""
    csrf_token: str | None = None

    @property
    def name(self) -> str:
        """In audit rows and as the owner of idempotency keys."""
        return f"person:{self.person}" if self.kind == "session" else f"key:{self.by}"

    @property
    def operator(self) -> bool:
        return self.platform_role == "admin"

    @property
    def asker(self) -> Asker:
        return Asker(org=self.org, person=self.person, operator=self.operator)


def actor_of(request: Asked, who: Principal | None = None) -> Actor:
    return Actor(
        name=who.name if who else "somebody",
        org=who.org if who else None,
        request_id=request_id(request),
        ip=client_ip(request),
    )


async def principal(request: Asked, plane: NamedDependency[Plane]) -> Principal:
    """The dependency `who` of every route that is not for everybody."""
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(secret) <= SECRET_CHARS_MAX or not secret.isascii():
            raise NotSignedIn("The Authorization header is neither an API key nor a token.")
        return await (_by_key if tokens.is_key(secret) else _by_jwt)(plane, secret)
    cookie = request.cookies.get(cookie_name(plane.settings))
    if not cookie or len(cookie) > SECRET_CHARS_MAX or not cookie.isascii():
        raise NotSignedIn("Sign in first, or send an API key as `Authorization: Bearer …`.")
    who = await _by_cookie(plane, cookie, client_ip(request))
    if request.method not in SAFE:
        given = request.headers.get(CSRF_HEADER, "")
        if who.csrf_token is None or not tokens.same(given, who.csrf_token):
            raise Forbidden(
                f"Send the session's {CSRF_HEADER} with every change (see GET /api/v1/auth/me).", code="csrf"
            )
    return who


def operator(who: NamedDependency[Principal]) -> Principal:
    """Those who run the platform; to everybody else it says no more than that."""
    if not who.operator:
        raise Forbidden("This is for operators of the platform.", code="operators_only")
    return who


async def in_person(request: Asked, plane: NamedDependency[Plane]) -> Principal:
    """`who` where people look after their own account: a program's key must not become its owner's."""
    who = await principal(request, plane)
    if who.kind != "session":
        raise Forbidden("This is done in person: sign in, an API key is not enough.", code="needs_session")
    return who


def from_here(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard where a cookie may be set: another site's page must not sign its visitors in as somebody else."""
    if connection.headers.get("Sec-Fetch-Site") in FOREIGN:
        raise Forbidden("This was sent by another site's page.", code="cross_site")


async def _by_cookie(plane: Plane, token: str, ip: str) -> Principal:
    token_hash = tokens.digest(token)
    async with plane.asking(Asker(secret_hash=token_hash)) as tx:
        known = await accounts.by_session(tx, token_hash, devices.network(ip), utcnow())
    if known is None:
        raise NotSignedIn("The session has ended: sign in again.")
    return _principal(known, "session", tokens.csrf(plane.settings.secret, SessionId(known.by)))


async def _by_key(plane: Plane, secret: str) -> Principal:
    token_hash = tokens.digest(secret)
    async with plane.asking(Asker(secret_hash=token_hash)) as tx:
        known = await accounts.by_key(tx, token_hash, utcnow())
    if known is None:
        raise NotSignedIn("This API key is unknown or was revoked.")
    return _principal(known, "key")


async def _by_jwt(plane: Plane, token: str) -> Principal:
    claims = tokens.read(plane.settings.secret, token, utcnow())
    if claims is None:
        raise NotSignedIn("This token is not ours or has expired: get a new one with the API key.", code="bad_token")
    async with plane.asking(Asker(person=claims.person, org=claims.org)) as tx:
        known = await accounts.by_claims(tx, claims)
    if known is None:
        raise NotSignedIn("The API key behind this token was revoked.")
    return _principal(known, "token")


def _principal(known: Known, kind: Kind, csrf_token: str | None = None) -> Principal:
    return Principal(
        person=known.person,
        org=known.org,
        org_name=known.org_name,
        email=known.email,
        platform_role=known.platform_role,
        kind=kind,
        by=known.by,
        csrf_token=csrf_token,
    )


def claims_of(who: Principal) -> tokens.Claims:
    if who.kind != "key":
        raise Forbidden("Tokens are made with an API key.", code="needs_api_key")
    return tokens.Claims(person=who.person, org=who.org, key=KeyId(who.by))


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

"""Routes of passkeys: register, list, rename, remove, sign in with one."""

import datetime as dt
from typing import Any
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts import passkeys, sign_in, throttle
from control.accounts.model import Passkey
from control.accounts.passkeys import Begun, Unproved
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.proof import prove
from control.accounts.routes import welcome
from control.accounts.schemas import Me
from control.accounts.self_schemas import Proof
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, browser_of
from control.db import Asker
from control.errors import NotSignedIn
from control.http import Asked, client_ip, tell_about, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]


class AddPasskey(Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    name: str
    credential: dict[str, Any]
    """What `navigator.credentials.create` gave, by its `toJSON()`."""


class UsePasskey(Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    credential: dict[str, Any]
    """What `navigator.credentials.get` gave, by its `toJSON()`."""


class Rename(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class PasskeyView(Struct, frozen=True):
    id: UUID
    name: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class Passkeys(Struct, frozen=True):
    items: list[PasskeyView]


@post(
    "/auth/passkeys/begin",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=201,
    summary="Begin to register a passkey",
    tags=TAG,
)
async def begin(
    data: JSONBody[Proof],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> Begun:
    await prove(plane, throttling, request, who, data.password)
    async with plane.asking(who.asker) as tx:
        return await passkeys.begin(tx, plane.settings, who.person, who.email, actor_of(request, who), utcnow())


@post(
    "/auth/passkeys",
    permission=Permission.PROFILE_WRITE,
    refuses=[409],
    status_code=201,
    summary="Register a passkey",
    tags=TAG,
)
async def add(
    data: JSONBody[AddPasskey], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> PasskeyView:
    actor, now = actor_of(request, who), utcnow()
    async with plane.asking(who.asker) as tx:
        added = await passkeys.add(tx, plane.settings, who.asker, data.token, data.name, data.credential, actor, now)
    await plane.nudge("mail")
    return _view(added)


@get("/auth/passkeys", permission=Permission.PROFILE_WRITE, summary="My passkeys", tags=TAG)
async def list_passkeys(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Passkeys:
    async with plane.asking(who.asker) as tx:
        return Passkeys([_view(each) for each in await passkeys.listed(tx, who.person)])


@patch("/auth/passkeys/{passkey:uuid}", permission=Permission.PROFILE_WRITE, summary="Rename a passkey", tags=TAG)
async def rename(
    passkey: FromPath[UUID],
    data: JSONBody[Rename],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> PasskeyView:
    async with plane.asking(who.asker) as tx:
        return _view(await passkeys.rename(tx, who.person, passkey, data.name, actor_of(request, who), utcnow()))


@delete(
    "/auth/passkeys/{passkey:uuid}",
    permission=Permission.PROFILE_WRITE,
    status_code=204,
    summary="Remove a passkey",
    tags=TAG,
)
async def remove(
    passkey: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await passkeys.remove(tx, plane.settings, who.asker, passkey, actor_of(request, who), utcnow())
    await plane.nudge("mail")


@post(
    "/auth/login/passkey/begin",
    permission=ANYBODY,
    refuses=[401, 403, 429],
    status_code=201,
    summary="Begin to sign in with a passkey",
    tags=TAG,
)
async def begin_sign_in(request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]) -> Begun:
    ip = throttle.address(client_ip(request))
    tell_rate(request, (await throttling.hit(throttle.BY_MAIL, ip, now=utcnow())).headers)
    async with plane.asking(Asker()) as tx:
        return await passkeys.begin_sign_in(tx, plane.settings, utcnow())


@post(
    "/auth/login/passkey",
    permission=ANYBODY,
    refuses=[401, 403, 429],
    status_code=200,
    summary="Sign in with a passkey",
    tags=TAG,
)
async def finish_sign_in(
    data: JSONBody[UsePasskey],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Response[Me]:
    """No code is asked for: the device has made sure who holds it."""
    now, ip = utcnow(), throttle.address(client_ip(request))
    await throttling.check(throttle.FAIL_PASSWORD, ip, now=now)
    browser, actor = browser_of(request, plane.settings), actor_of(request)
    signed_in = await passkeys.finish_sign_in(plane, data.token, data.credential, browser, actor, now)
    if isinstance(signed_in, Unproved):
        tell_about(request, await sign_in.tried(plane, person=signed_in.owner))
        await throttling.hit(throttle.FAIL_PASSWORD, ip, now=now)
        raise NotSignedIn("This passkey opens no account here.", code="bad_credentials")
    return welcome(plane, signed_in)


def _view(passkey: Passkey) -> PasskeyView:
    return PasskeyView(passkey.id, passkey.name, passkey.created_at, passkey.last_used_at)


FOR_EVERYBODY = [begin_sign_in, finish_sign_in]
ROUTES = [begin, add, list_passkeys, rename, remove]

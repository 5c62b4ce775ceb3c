"""Routes by which people look after their own account: address, password, export, leaving."""

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from control.accounts import bots, leaving, recovery, sessions, throttle, verification
from control.accounts.export import Export, export
from control.accounts.pace import HASH_S, WRITE_S, evenly
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.proof import prove
from control.accounts.schemas import Register
from control.accounts.self_schemas import (
    Address,
    AskForMail,
    ChangeEmail,
    ChangePassword,
    Leave,
    Registered,
    Reset,
    Token,
)
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, session_cookie
from control.flags import service as flags
from control.http import Asked, client_ip, tell_rate
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]


@post(
    "/auth/register",
    permission=ANYBODY,
    refuses=[403, 404, 409, 429],
    status_code=201,
    summary="Make an account and its organisation",
    tags=TAG,
)
async def register(
    data: JSONBody[Register],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> Registered:
    """Whether the address had an account already is told to its mailbox alone."""
    now, actor = utcnow(), actor_of(request)
    await flags.check_registration(plane)
    await bots.count(plane, throttling, request, throttle.REGISTER, data.bot_check, now)
    async with evenly(plane, HASH_S):
        email = await verification.register(plane, data.email, data.password, data.name, data.terms, actor, now)
        await plane.nudge("mail")
    return Registered(email, "confirm" if plane.settings.must_verify else "sign_in")


@post(
    "/auth/verify/send",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=202,
    summary="Send the mail that confirms an address once more",
    tags=TAG,
)
async def send_verification(
    data: JSONBody[AskForMail], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> None:
    await bots.count(plane, throttling, request, throttle.BY_MAIL, data.bot_check, utcnow())
    async with evenly(plane, WRITE_S):
        await verification.send_again(plane, data.email, actor_of(request), utcnow())
        await plane.nudge("mail")


@post(
    "/auth/verify",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=200,
    summary="Confirm an address, with the token from the mail",
    tags=TAG,
)
async def verify(
    data: JSONBody[Token], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> Address:
    await _count(request, throttling)
    return Address(await verification.confirm(plane, data.token, actor_of(request), utcnow()))


@post(
    "/auth/password/forgotten",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=202,
    summary="Ask for a mail to choose a new password",
    tags=TAG,
)
async def forgotten(
    data: JSONBody[AskForMail], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> None:
    """The answer is the same for every address."""
    await bots.count(plane, throttling, request, throttle.BY_MAIL, data.bot_check, utcnow())
    async with evenly(plane, WRITE_S):
        await recovery.forgotten(plane, data.email, actor_of(request), utcnow())
        await plane.nudge("mail")


@post(
    "/auth/password/reset",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=204,
    summary="Choose a new password, with the token from the mail",
    tags=TAG,
)
async def reset(
    data: JSONBody[Reset], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> None:
    """Everybody who was signed in is not any more."""
    await _count(request, throttling)
    await recovery.reset(plane, data.token, data.password, actor_of(request), utcnow())
    await plane.nudge("mail")


@post(
    "/auth/password",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=204,
    summary="Change the password; all other sessions end",
    tags=TAG,
)
async def change_password(
    data: JSONBody[ChangePassword],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> Response[None]:
    known_hash = await prove(plane, throttling, request, who, data.password)
    actor = actor_of(request, who)
    token = await recovery.change(plane, who.asker, who.by, known_hash, data.new, actor, utcnow())
    await plane.nudge("mail")
    return Response(None, cookies=[session_cookie(plane.settings, token, sessions.SESSION_S)])


@post(
    "/auth/email",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=202,
    summary="Ask to move the account to another address",
    tags=TAG,
)
async def change_email(
    data: JSONBody[ChangeEmail],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> None:
    """It moves once the link that goes to the new address is followed."""
    await prove(plane, throttling, request, who, data.password)
    async with evenly(plane, WRITE_S):
        await verification.ask_for_email(plane, who.asker, data.email, actor_of(request, who), utcnow())
        await plane.nudge("mail")


@post(
    "/auth/email/confirm",
    permission=ANYBODY,
    refuses=[403, 429],
    status_code=200,
    summary="Move the account, with the token from the mail",
    tags=TAG,
)
async def confirm_email(
    data: JSONBody[Token], request: Asked, plane: NamedDependency[Plane], throttling: NamedDependency[Throttle]
) -> Address:
    await _count(request, throttling)
    moved = Address(await verification.confirm_email(plane, data.token, actor_of(request), utcnow()))
    await plane.nudge("mail")
    return moved


@get("/auth/export", permission=Permission.PROFILE_WRITE, summary="All rows about me", tags=TAG)
async def export_me(request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Response[Export]:
    async with plane.working() as tx:
        found = await export(tx, who.person, actor_of(request, who), utcnow())
    return Response(found, headers={"Content-Disposition": 'attachment; filename="seedlift-export.json"'})


@post(
    "/auth/leave",
    permission=Permission.PROFILE_WRITE,
    refuses=[409, 429],
    status_code=204,
    summary="Delete my account, and the organisations that only I am in",
    tags=TAG,
)
async def leave(
    data: JSONBody[Leave],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
    who: NamedDependency[Principal],
) -> Response[None]:
    await prove(plane, throttling, request, who, data.password)
    await leaving.leave(plane, who.asker, data.confirm, actor_of(request, who), utcnow())
    await plane.nudge("close")
    await plane.nudge("mail")
    return Response(None, cookies=[session_cookie(plane.settings, "", 0)])


async def _count(request: Asked, throttling: Throttle) -> None:
    """By who asks, never by the address that it is about: nobody can use up somebody else's tries."""
    standing = await throttling.hit(throttle.BY_MAIL, throttle.address(client_ip(request)), now=utcnow())
    tell_rate(request, standing.headers)


FOR_EVERYBODY = [register, send_verification, verify, forgotten, reset, confirm_email]
ROUTES = [change_password, change_email, export_me, leave]

"""Routes of invitations: for who invites, and for who was invited."""

import datetime as dt
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import invitations, organisations, throttle, tokens
from control.accounts.invitations import Sent
from control.accounts.model import Invitation
from control.accounts.organisation_schemas import (
    Invitations,
    InvitationView,
    Invite,
    OfferView,
    ShowInvitation,
)
from control.accounts.permissions import ANYBODY, Permission
from control.accounts.schemas import OrganisationView
from control.accounts.sessions import SESSION_S
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of, session_cookie
from control.db import Asker, Tx
from control.http import Asked, client_ip, tell_rate
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.clock import utcnow

TAG = ["invitations"]


@post(
    "/organisation/invitations",
    permission=Permission.MEMBERS_WRITE,
    refuses=[409, 429],
    status_code=201,
    summary="Invite somebody by mail, to no role above your own",
    tags=TAG,
)
async def invite(
    data: JSONBody[Invite],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> InvitationView:
    now = utcnow()
    tell_rate(request, (await throttling.hit(throttle.INVITE, str(who.org), now=now)).headers)
    async with plane.asking(who.asker) as tx:
        sent = await invitations.send(tx, who, who.org, data.email, data.role, actor_of(request, who), now)
        await _mail(tx, plane, who, sent, now)
    await plane.nudge("mail")
    return _view(sent.invitation)


@get("/organisation/invitations", permission=Permission.MEMBERS_WRITE, summary="Open invitations", tags=TAG)
async def list_invitations(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Invitations:
    async with plane.asking(who.asker) as tx:
        return Invitations([_view(each) for each in await invitations.listed(tx, who.org)])


@post(
    "/organisation/invitations/{invitation_id:uuid}/resend",
    permission=Permission.MEMBERS_WRITE,
    refuses=[429],
    status_code=200,
    summary="Send an invitation again, with a new link and a week more",
    tags=TAG,
)
async def resend(
    invitation_id: FromPath[UUID],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> InvitationView:
    now = utcnow()
    tell_rate(request, (await throttling.hit(throttle.INVITE, str(who.org), now=now)).headers)
    async with plane.asking(who.asker) as tx:
        sent = await invitations.send_again(tx, who, who.org, invitation_id, actor_of(request, who), now)
        await _mail(tx, plane, who, sent, now)
    await plane.nudge("mail")
    return _view(sent.invitation)


@delete(
    "/organisation/invitations/{invitation_id:uuid}",
    permission=Permission.MEMBERS_WRITE,
    status_code=204,
    summary="Revoke an invitation, at once",
    tags=TAG,
)
async def revoke(
    invitation_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await invitations.revoke(tx, who.org, invitation_id, actor_of(request, who), utcnow())


@post(
    "/invitations/look",
    permission=ANYBODY,
    refuses=[404, 429],
    status_code=200,
    summary="What an invitation's link invites to, for who holds it",
    tags=TAG,
)
async def look(
    data: JSONBody[ShowInvitation],
    request: Asked,
    plane: NamedDependency[Plane],
    throttling: NamedDependency[Throttle],
) -> OfferView:
    now, ip = utcnow(), throttle.address(client_ip(request))
    tell_rate(request, (await throttling.hit(throttle.LOOK, ip, now=now)).headers)
    async with plane.asking(Asker(secret_hash=tokens.digest(data.token))) as tx:
        offer = await invitations.look(tx, data.token, now)
    known = offer.invitation
    return OfferView(offer.organisation, known.email, known.role, known.expires_at)


@post(
    "/invitations/accept",
    permission=Permission.PROFILE_WRITE,
    refuses=[404, 409],
    status_code=200,
    summary="Accept, signed in with the address that was invited, and act for that organisation: gives a new cookie",
    tags=TAG,
)
async def accept(
    data: JSONBody[ShowInvitation], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Response[OrganisationView]:
    now, actor = utcnow(), actor_of(request, who)
    async with plane.asking(Asker(person=who.person, secret_hash=tokens.digest(data.token))) as tx:
        place = await invitations.accept(tx, who.person, data.token, actor, now)
        token = await organisations.enter(tx, who.person, who.by, place.org, actor, now)
    cookie = session_cookie(plane.settings, token, SESSION_S)
    return Response(OrganisationView(place.org, place.name, place.role), cookies=[cookie])


async def _mail(tx: Tx, plane: Plane, who: Principal, sent: Sent, now: dt.datetime) -> None:
    assert who.place is not None
    url = letters.link(plane.settings.public_url, "invitation", sent.token)
    letter = letters.invitation(who.place.name, sent.invitation.role, url)
    await mails.queue(tx, plane.settings.vault, sent.invitation.email, letter, None, now)


def _view(known: Invitation) -> InvitationView:
    return InvitationView(
        id=known.id,
        email=known.email,
        role=known.role,
        invited_by=known.invited_by,
        created_at=known.created_at,
        expires_at=known.expires_at,
    )


ROUTES = [invite, list_invitations, resend, revoke, look, accept]

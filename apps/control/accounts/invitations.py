"""Verbs on invitations: send, list, send again, revoke, look at, accept.

    sent ──► accepted
     │ ╲──► revoked, by hand or with whoever sent it
     ╰────► expired after a week; sent again it is good for another
A link goes to the mailbox alone and is kept as a hash; whoever holds it and is signed in with that address gets in.
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from control.accounts import members, organisations, sessions, tokens
from control.accounts.known import Known, Place
from control.accounts.model import Fellow, Invitation, Member, Organisation, Person
from control.accounts.permissions import OrgRole
from control.accounts.service import clean_email
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import Conflict, NotFound
from wire.ids import OrgId, PersonId, new_id
from wire.units import DAY_S

LASTS_S = 7 * DAY_S
"""Over a holiday weekend, and not for ever in somebody's mailbox."""
OPEN_MAX = 100
"""Of one organisation."""
MEMBERS_MAX = 200
"""Of one organisation; their list is one page."""


class Sent(Struct, frozen=True):
    invitation: Invitation
    token: str
    """For the link; nobody sees it again."""


class Offer(Struct, frozen=True):
    """What somebody with a link is invited to."""

    invitation: Invitation
    organisation: str


async def send(tx: Tx, who: Known, org: OrgId, email: str, role: OrgRole, actor: Actor, now: dt.datetime) -> Sent:
    address = clean_email(email)
    await organisations.lock(tx, org)
    await members.check_gives(tx, who, org, role)
    if await tx.scalar(select(Fellow.person_id).where(Fellow.org_id == org, Fellow.email == address)) is not None:
        raise Conflict("This address belongs to a member already.", code="member_already")
    over = (*_open(org), Invitation.email == address, Invitation.expires_at <= now)
    await tx.execute(update(Invitation).where(*over).values(ended_at=now))
    if int(await tx.scalar(select(func.count()).where(*_open(org))) or 0) >= OPEN_MAX:
        raise Conflict(f"{OPEN_MAX} invitations are open: revoke some.", code="too_many_invitations")
    token, invitation = tokens.new_session_token(), new_id()
    row = {
        "id": invitation, "org_id": org, "email": address, "role": role, "invited_by": who.person,
        "created_at": now, "ended_at": None, **_secret(token, now),
    }  # fmt: skip
    new = (
        insert(Invitation)
        .values(row)
        .on_conflict_do_nothing(index_elements=["org_id", "email"], index_where=Invitation.ended_at.is_(None))
    )
    made = await tx.scalar(new.returning(Invitation))
    if made is None:
        raise Conflict("This address is invited already: send that again, or revoke it.", code="invited_already")
    await audit.record(tx, actor, "invitation.sent", f"invitation:{invitation}", now, email=address, role=role)
    return Sent(made, token)


def _open(org: OrgId) -> list[ColumnElement[bool]]:
    return [Invitation.org_id == org, Invitation.ended_at.is_(None)]


def _secret(token: str, now: dt.datetime) -> dict[str, object]:
    return {"token_hash": tokens.digest(token), "expires_at": now + dt.timedelta(seconds=LASTS_S)}


async def listed(tx: Tx, org: OrgId) -> list[Invitation]:
    """Open ones, also those that have expired and may be sent again."""
    return list(await tx.scalars(select(Invitation).where(*_open(org)).order_by(Invitation.id)))


async def send_again(tx: Tx, who: Known, org: OrgId, invitation: UUID, actor: Actor, now: dt.datetime) -> Sent:
    """With a new link; the old one is void."""
    await organisations.lock(tx, org)
    known = await tx.scalar(select(Invitation).where(*_open(org), Invitation.id == invitation))
    if known is None:
        raise NotFound("There is no such invitation.")
    await members.check_gives(tx, who, org, known.role)
    token = tokens.new_session_token()
    values = {"invited_by": who.person, **_secret(token, now)}
    changed = update(Invitation).where(Invitation.id == invitation).values(values).returning(Invitation)
    again = (await tx.scalars(changed, execution_options={"populate_existing": True})).one()
    await audit.record(tx, actor, "invitation.sent_again", f"invitation:{invitation}", now)
    return Sent(again, token)


async def revoke(tx: Tx, org: OrgId, invitation: UUID, actor: Actor, now: dt.datetime) -> None:
    this = (*_open(org), Invitation.id == invitation)
    if await tx.scalar(update(Invitation).where(*this).values(ended_at=now).returning(Invitation.id)) is None:
        raise NotFound("There is no such invitation.")
    await audit.record(tx, actor, "invitation.revoked", f"invitation:{invitation}", now)


async def look(tx: Tx, token: str, now: dt.datetime) -> Offer:
    """`tx` names the token's hash; it is left acting for the organisation."""
    this = (Invitation.token_hash == tokens.digest(token), Invitation.ended_at.is_(None), Invitation.expires_at > now)
    invitation = await tx.scalar(select(Invitation).where(*this))
    if invitation is None:
        raise NotFound("This invitation is not good (any more): ask for another.", code="no_invitation")
    await name_asker(tx, Asker(org=OrgId(invitation.org_id)))
    name = (await tx.scalars(select(Organisation.name).where(Organisation.id == invitation.org_id))).one()
    return Offer(invitation, name)


async def accept(tx: Tx, person: PersonId, token: str, actor: Actor, now: dt.datetime) -> Place:
    """The person's row is held before the organisation's: who leaves for good meanwhile gets in nowhere."""
    await sessions.hold(tx, person)
    known = select(Person.email, Person.email_verified_at).where(Person.id == person)
    email, verified_at = (await tx.execute(known)).one()
    offer = await look(tx, token, now)
    org, role = OrgId(offer.invitation.org_id), offer.invitation.role
    await name_asker(tx, Asker(org=org, person=person))
    await organisations.lock(tx, org)
    if offer.invitation.email != email:
        raise Conflict("This invitation is for another e-mail address: sign in with that one.", code="not_invited")
    if verified_at is None:
        raise Conflict("Confirm your e-mail address first: look for our mail.", code="email_unverified")
    if int(await tx.scalar(select(func.count()).where(Member.org_id == org)) or 0) >= MEMBERS_MAX:
        raise Conflict(f"This organisation has {MEMBERS_MAX} members: no more fit.", code="too_many_members")
    this = (*_open(org), Invitation.id == offer.invitation.id, Invitation.token_hash == tokens.digest(token))
    if await tx.scalar(update(Invitation).where(*this).values(ended_at=now).returning(Invitation.id)) is None:
        raise NotFound("This invitation is not good (any more): ask for another.", code="no_invitation")
    row = {"org_id": org, "person_id": person, "role": role, "joined_at": now}
    await tx.execute(insert(Member).values(row).on_conflict_do_nothing())  # who is in it already stays what he is
    await audit.record(tx, actor.within(org), "member.joined", f"person:{person}", now, role=role)
    return Place(org, offer.organisation, role)

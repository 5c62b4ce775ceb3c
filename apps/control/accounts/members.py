"""Verbs on members: list, change a role, remove, leave. An organisation always has an owner.

Every change holds the organisation's lock and reads both roles again under it: of two owners who demote each other at
once, the second is none any more.
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, func, select, update

from control.accounts import organisations
from control.accounts.known import Known
from control.accounts.model import ApiKey, Fellow, Invitation, Member, Person
from control.accounts.permissions import IN_ORGANISATION, OrgRole, Permission, may_give
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import Conflict, Denied, NotFound
from wire.ids import OrgId, PersonId


class MemberRow(Struct, frozen=True):
    member: Member
    email: str


async def listed(tx: Tx, org: OrgId) -> list[MemberRow]:
    found = select(Member, Fellow.email).join(
        Fellow, (Fellow.org_id == Member.org_id) & (Fellow.person_id == Member.person_id)
    )
    rows = await tx.execute(found.where(Member.org_id == org).order_by(Member.joined_at, Member.person_id))
    return [MemberRow(member, email) for member, email in rows]


async def in_charge(tx: Tx, org: OrgId) -> list[tuple[str, UUID]]:
    """Whom to write to. `tx` sees every person."""
    found = select(Person.email, Person.id).join(Member, Member.person_id == Person.id)
    roles = Member.role.in_((OrgRole.OWNER, OrgRole.ADMIN))
    rows = await tx.execute(found.where(Member.org_id == org, roles).order_by(Person.email))
    return [(email, person) for email, person in rows]


async def get(tx: Tx, org: OrgId, person: UUID) -> MemberRow:
    for row in await listed(tx, org):
        if row.member.person_id == person:
            return row
    raise NotFound("There is no such member.")


async def change(
    tx: Tx, who: Known, org: OrgId, person: UUID, role: OrgRole, actor: Actor, now: dt.datetime
) -> MemberRow:
    """Up to one's own role; one's own only down."""
    await organisations.lock(tx, org)
    before = await _role(tx, org, person)
    await check_gives(tx, who, org, role, before)
    if before is OrgRole.OWNER and role is not OrgRole.OWNER:
        await _check_another_owner(tx, org, person)
    this = (Member.org_id == org, Member.person_id == person)
    await tx.execute(update(Member).where(*this).values(role=role))
    if not may_give(role, before):
        await _end_invitations(tx, org, person, now)
    await audit.record(tx, actor, "member.changed", f"person:{person}", now, before=before, after=role)
    return await get(tx, org, person)


async def remove(tx: Tx, who: Known, org: OrgId, person: UUID, actor: Actor, now: dt.datetime) -> None:
    await organisations.lock(tx, org)
    before = await _role(tx, org, person)
    await check_gives(tx, who, org, before)
    await _end(tx, org, person, before, now)
    await audit.record(tx, actor, "member.removed", f"person:{person}", now, before=before)


async def leave(tx: Tx, org: OrgId, person: PersonId, actor: Actor, now: dt.datetime) -> None:
    """Any that one is in; `tx` is left acting for it."""
    await _role(tx, org, person)
    await name_asker(tx, Asker(org=org, person=person))
    await organisations.lock(tx, org)
    before = await _role(tx, org, person)
    await _end(tx, org, person, before, now)
    await audit.record(tx, actor.within(org), "member.left", f"person:{person}", now, before=before)


async def check_gives(tx: Tx, who: Known, org: OrgId, role: OrgRole, present: OrgRole | None = None) -> None:
    """By the role that the asker has now, under the lock."""
    mine = await tx.scalar(select(Member.role).where(Member.org_id == org, Member.person_id == who.person))
    if mine not in IN_ORGANISATION[Permission.MEMBERS_WRITE]:
        raise Denied(Permission.MEMBERS_WRITE, f"you are {mine or 'not'} in this organisation any more.")
    if not may_give(mine, role, present):
        raise Denied(Permission.MEMBERS_WRITE, f"as {mine} you do not give or take a higher role.")


async def _role(tx: Tx, org: OrgId, person: UUID) -> OrgRole:
    role = await tx.scalar(select(Member.role).where(Member.org_id == org, Member.person_id == person))
    if role is None:
        raise NotFound("There is no such member.")
    return role


async def _end(tx: Tx, org: OrgId, person: UUID, before: OrgRole, now: dt.datetime) -> None:
    """With a membership end the keys made and the invitations sent by it."""
    if before is OrgRole.OWNER:
        await _check_another_owner(tx, org, person)
    await tx.execute(delete(Member).where(Member.org_id == org, Member.person_id == person))
    mine = (ApiKey.org_id == org, ApiKey.person_id == person, ApiKey.revoked_at.is_(None))
    await tx.execute(update(ApiKey).where(*mine).values(revoked_at=now))
    await _end_invitations(tx, org, person, now)


async def _end_invitations(tx: Tx, org: OrgId, person: UUID, now: dt.datetime) -> None:
    """Else somebody could come back, by a link of his own, as what he was."""
    sent = (Invitation.org_id == org, Invitation.invited_by == person, Invitation.ended_at.is_(None))
    await tx.execute(update(Invitation).where(*sent).values(ended_at=now))


async def _check_another_owner(tx: Tx, org: OrgId, person: UUID) -> None:
    others = select(func.count()).where(Member.org_id == org, Member.role == OrgRole.OWNER, Member.person_id != person)
    if not await tx.scalar(others):
        raise Conflict("This is the last owner: make somebody else one first.", code="last_owner")

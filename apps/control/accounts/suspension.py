"""Verbs of suspension: a person or an organisation is kept from everything, and let in again.

Sessions, keys and tokens stay as they are; whoever shows one is read with it, so that it is refused from the next
request on. Streams end, and loop `suspended` pauses their jobs.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import select

from control.accounts import platform
from control.accounts.known import Known
from control.accounts.model import Member, Organisation, Person
from control.accounts.permissions import OrgRole, Permission, may_give
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Tx
from control.errors import Denied, NotFound
from control.mail import letters
from control.mail import service as mails
from control.vault import Vault


async def of_person(
    tx: Tx, vault: Vault, who: Known, person: UUID, reason: str, actor: Actor, now: dt.datetime, *, ends: bool
) -> Person:
    """Nobody suspends himself, or somebody above him; so somebody is left. `ends`: let in again."""
    mine, other = await platform.both(tx, who, Person.id == person)
    if other is None or other.deleted_at is not None:
        raise NotFound("There is no such person; nobody suspends himself.")
    if not may_give(mine, other.platform_role):
        raise Denied(Permission.SUSPENSIONS_WRITE, f"as {mine} you do not suspend a higher role.")
    if _turn(other, reason, now, ends=ends):
        await _tell(tx, actor.within(None), "person", person, reason, now, ends=ends)
        await mails.queue(tx, vault, other.email, _letter("Your account", reason, ends=ends), other.id, now)
    await tx.flush()
    return other


async def of_organisation(
    tx: Tx, vault: Vault, org: UUID, reason: str, actor: Actor, now: dt.datetime, *, ends: bool
) -> Organisation:
    found = await tx.scalar(
        select(Organisation)
        .where(Organisation.id == org, Organisation.deleted_at.is_(None))
        .with_for_update(key_share=True)
    )
    if found is None:
        raise NotFound("There is no such organisation.")
    if _turn(found, reason, now, ends=ends):
        await _tell(tx, actor.within(org), "organisation", org, reason, now, ends=ends)
        owners = select(Person.id, Person.email).join(Member, Member.person_id == Person.id)
        for owner, email in await tx.execute(owners.where(Member.org_id == org, Member.role == OrgRole.OWNER)):
            letter = _letter(f"The organisation {found.name}", reason, ends=ends)
            await mails.queue(tx, vault, email, letter, owner, now)
    await tx.flush()
    return found


def _turn(subject: Person | Organisation, reason: str, now: dt.datetime, *, ends: bool) -> bool:
    """False: it is so already."""
    if ends is (subject.suspended_at is None):
        return False
    subject.suspended_at, subject.suspended_for = (None, None) if ends else (now, reason)
    return True


async def _tell(tx: Tx, actor: Actor, kind: str, of: UUID, reason: str, now: dt.datetime, *, ends: bool) -> None:
    action = f"{kind}.{'unsuspended' if ends else 'suspended'}"
    await audit.record_as(tx, Severity.WARNING, actor, action, f"{kind}:{of}", now, reason=reason)


def _letter(whose: str, reason: str, *, ends: bool) -> letters.Letter:
    return letters.unsuspended(whose) if ends else letters.suspended(whose, reason)

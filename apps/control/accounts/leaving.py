"""Leaving: an account goes for good, with the organisations that nobody else is in; what others share stays theirs.

    proved ──► the person's row held ──► each organisation left or ended, under its lock ──► the account is nobody's
One transaction; what an ended organisation had is ended by loop `close`.
"""

import datetime as dt

from sqlalchemy import delete, func, select, update

from control.accounts import members, organisations, sessions, vouchers
from control.accounts.known import Place
from control.accounts.model import Identity, Member, Passkey, Person, RecoveryCode, Totp
from control.accounts.permissions import PlatformRole
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import PersonId


async def leave(plane: Plane, asker: Asker, confirm: str, actor: Actor, now: dt.datetime) -> None:
    """Of who has proved to be who he is. Refused where others would be left without an owner."""
    assert asker.person is not None
    person = asker.person
    async with plane.asking(asker) as tx:
        await sessions.hold(tx, person)
        known = (await tx.scalars(select(Person).where(Person.id == person))).one()
        if confirm.strip().lower() != known.email:
            raise BadInput("Type your e-mail address to confirm that the account shall go.", code="not_confirmed")
        if known.platform_role is not PlatformRole.USER:  # somebody is left at the top, since nobody changes his own
            raise Conflict("You help to run the platform: have that role taken from you first.", code="platform_role")
        for place in sorted(await organisations.mine(tx, person), key=lambda place: place.org):
            await _part(tx, place, person, actor.within(place.org), now)
        await name_asker(tx, Asker(person=person))
        await _forget(tx, plane, person, known.email, actor, now)


async def _part(tx: Tx, place: Place, person: PersonId, actor: Actor, now: dt.datetime) -> None:
    await name_asker(tx, Asker(org=place.org, person=person))
    await organisations.lock(tx, place.org)
    among = select(func.count(), func.count().filter(Member.person_id == person)).where(Member.org_id == place.org)
    everybody, me = (await tx.execute(among)).one()
    if not me:
        return  # removed, or it was ended, while we waited for the lock
    if everybody > 1:
        await members.leave(tx, place.org, person, actor, now)
    else:
        await organisations.end(tx, place.org, person, place.name, actor, now)


async def _forget(tx: Tx, plane: Plane, person: PersonId, email: str, actor: Actor, now: dt.datetime) -> None:
    """The row stays, for what others' jobs and the log hang on; who it was goes."""
    for table in (Totp, RecoveryCode, Passkey, Identity):
        await tx.execute(delete(table).where(table.person_id == person))
    actor = actor.within(None)
    await vouchers.void(tx, person, now)
    await sessions.end_all(tx, person, actor, now)
    told = letters.notice("Your account was deleted, with everything that was yours alone.")
    await mails.queue(tx, plane.settings.vault, email, told, person, now)
    gone = {
        "email": f"{person}@deleted.invalid", "password_hash": None, "email_verified_at": None, "deleted_at": now,
    }  # fmt: skip
    await tx.execute(update(Person).where(Person.id == person).values(gone))
    await audit.record(tx, actor, "person.deleted", f"person:{person}", now)

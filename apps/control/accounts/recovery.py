"""Passwords that are forgotten, or changed: the mailbox opens the way to a new one, and other sessions end."""

import datetime as dt
from uuid import UUID

from sqlalchemy import select, update

from control.accounts import passwords, sessions, vouchers
from control.accounts import service as accounts
from control.accounts.model import Person
from control.accounts.vouchers import Kind
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import Conflict
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import PersonId


async def forgotten(plane: Plane, email: str, actor: Actor, now: dt.datetime) -> None:
    """A mail, if there is somebody and none was sent just now."""
    email = accounts.clean_email(email)
    async with plane.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person).where(Person.email == email))
        if person is None:
            return
        mine = PersonId(person.id)
        await name_asker(tx, Asker(person=mine))
        await sessions.hold(tx, mine)
        if await vouchers.given_lately(tx, Kind.RESET, mine, now):
            return
        url = letters.link(plane.settings.public_url, Kind.RESET, await vouchers.give(tx, Kind.RESET, mine, now))
        await mails.queue(tx, plane.settings.vault, email, letters.reset(url), mine, now)
        await audit.record(tx, actor, "password.forgotten", f"person:{mine}", now)


async def reset(plane: Plane, token: str, password: str, actor: Actor, now: dt.datetime) -> None:
    """Whoever has the mail has the address too; a second factor stays on."""
    passwords.check(password)
    password_hash = await passwords.hashed(password)
    async with plane.asking(Asker()) as tx:
        voucher = await vouchers.redeem(tx, Kind.RESET, token, now)
        assert voucher.person_id is not None
        person = PersonId(voucher.person_id)
        email = (await tx.scalars(select(Person.email).where(Person.id == person))).one()
        passwords.check(password, [email])  # refused, the link is good for another try
        new = {"password_hash": password_hash, "email_verified_at": now}
        await tx.execute(update(Person).where(Person.id == person).values(new))
        await _tell_and_end(tx, plane, person, email, None, actor, now)
        await audit.record(tx, actor, "password.reset", f"person:{person}", now)


async def change(
    plane: Plane, asker: Asker, session: UUID, known_hash: str | None, new: str, actor: Actor, now: dt.datetime
) -> str:
    """Of who proved to know the one with this hash. Gives this session's new token; all others end."""
    assert asker.person is not None
    async with plane.asking(asker) as tx:
        email = (await tx.scalars(select(Person.email).where(Person.id == asker.person))).one()
    passwords.check(new, [email])
    password_hash = await passwords.hashed(new)
    async with plane.asking(asker) as tx:
        mine = update(Person).where(Person.id == asker.person, Person.password_hash.is_not_distinct_from(known_hash))
        if await tx.scalar(mine.values(password_hash=password_hash).returning(Person.id)) is None:
            raise Conflict("The password was changed elsewhere just now.", code="password_changed")
        await _tell_and_end(tx, plane, asker.person, email, session, actor, now)
        await audit.record(tx, actor, "password.changed", f"person:{asker.person}", now)
        return await sessions.turn_over(tx, session)


async def _tell_and_end(
    tx: Tx, plane: Plane, person: PersonId, email: str, but: UUID | None, actor: Actor, now: dt.datetime
) -> None:
    """What was begun with the old password or by mail leads nowhere any more."""
    await vouchers.void(tx, person, now)
    await sessions.end_all(tx, person, actor, now, but=but)
    await mails.queue(tx, plane.settings.vault, email, letters.notice("Your password was changed."), person, now)

"""Addresses: register with one, confirm it, move to another. Who has an account here is told to its mailbox alone."""

import datetime as dt

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from control.accounts import passwords, sessions, terms, vouchers
from control.accounts import service as accounts
from control.accounts.model import Person
from control.accounts.vouchers import Kind
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import OrgId, PersonId, new_id


async def register(
    plane: Plane, email: str, password: str, org_name: str | None, version: int | None, actor: Actor, now: dt.datetime
) -> str:
    """A person and the organisation of their own, or a mail to who has this address already: the answer is the same."""
    email = accounts.clean_email(email)
    label = accounts.clean_label(org_name, "A name") if org_name is not None else email.partition("@")[0]
    passwords.check(password, [email, label])
    if version is not None:
        async with plane.asking(Asker()) as tx:
            await terms.check(tx, version, now)
    password_hash = await passwords.hashed(password)
    if await _is_known(plane, email) or not await _make(plane, email, password_hash, label, version, actor, now):
        await _tell_known(plane, email, password_hash, actor, now)
    return email


async def _is_known(plane: Plane, email: str) -> bool:
    async with plane.asking(Asker(email=email)) as tx:
        return await tx.scalar(select(Person.id).where(Person.email == email)) is not None


async def _make(
    plane: Plane, email: str, password_hash: str, label: str, version: int | None, actor: Actor, now: dt.datetime
) -> bool:
    """Whether we were first: of two at once, one is."""
    person, org = PersonId(new_id()), OrgId(new_id())
    try:
        async with plane.asking(Asker(org=org, person=person)) as tx:
            await accounts.create(tx, person, org, email, password_hash, label, now)
            who = accounts.of(actor, person, org)
            await audit.record(tx, who, "person.registered", f"person:{person}", now)
            if version is not None:
                await terms.accept(tx, person, version, who, now)
            await _mail_verify(tx, plane, person, email, now)
    except IntegrityError:
        return False
    return True


async def _tell_known(plane: Plane, email: str, password_hash: str, actor: Actor, now: dt.datetime) -> None:
    """An account that nobody has confirmed is as good as none: whoever asks last gets the next mail, and his password
    counts. Else somebody could wait with a password of his own for the owner to confirm the address."""
    async with plane.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person).where(Person.email == email))
        if person is None:
            return  # deleted since
        mine = PersonId(person.id)
        await name_asker(tx, Asker(person=mine))
        await sessions.hold(tx, mine)
        if person.email_verified_at is not None or not plane.settings.must_verify:
            if not await vouchers.given_lately(tx, Kind.RESET, mine, now):
                url = await _link(tx, plane, Kind.RESET, mine, now)
                await mails.queue(tx, plane.settings.vault, email, letters.known_already(url), mine, now)
        else:
            await vouchers.void(tx, mine, now, Kind.VERIFY)
            await sessions.end_all(tx, mine, actor, now)
            await tx.execute(update(Person).where(Person.id == mine).values(password_hash=password_hash))
            await _mail_verify(tx, plane, mine, email, now)
        await audit.record(tx, actor, "person.registered_again", f"person:{mine}", now)


async def send_again(plane: Plane, email: str, actor: Actor, now: dt.datetime) -> None:
    """Another mail to confirm the address, if there is anything to confirm and none was sent just now."""
    email = accounts.clean_email(email)
    async with plane.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person).where(Person.email == email))
        if person is None or person.email_verified_at is not None:
            return
        mine = PersonId(person.id)
        await name_asker(tx, Asker(person=mine))
        await sessions.hold(tx, mine)
        if not await vouchers.given_lately(tx, Kind.VERIFY, mine, now):
            await _mail_verify(tx, plane, mine, email, now)
            await audit.record(tx, actor, "email.verification_sent", f"person:{mine}", now)


async def confirm(plane: Plane, token: str, actor: Actor, now: dt.datetime) -> str:
    """Whoever has the mail has the address."""
    async with plane.asking(Asker()) as tx:
        voucher = await vouchers.redeem(tx, Kind.VERIFY, token, now)
        verified = update(Person).where(Person.id == voucher.person_id, Person.email == voucher.detail["email"])
        email: str | None = await tx.scalar(verified.values(email_verified_at=now).returning(Person.email))
        if email is None:
            raise BadInput("The account has another address by now.", code="bad_voucher")
        await audit.record(tx, actor, "email.verified", f"person:{voucher.person_id}", now)
        return email


async def ask_for_email(plane: Plane, asker: Asker, email: str, actor: Actor, now: dt.datetime) -> None:
    """A link to the new address, a word to the old one; whether the new one is taken is told to its mailbox alone."""
    assert asker.person is not None
    email = accounts.clean_email(email)
    taken = await _is_known(plane, email)
    async with plane.asking(asker) as tx:
        await sessions.hold(tx, asker.person)
        old = (await tx.scalars(select(Person.email).where(Person.id == asker.person))).one()
        if old == email:
            raise BadInput("This is your address already.", code="same_email")
        await vouchers.void(tx, asker.person, now, Kind.EMAIL)
        token = await vouchers.give(tx, Kind.EMAIL, asker.person, now, email=email)
        if taken:
            await vouchers.void(tx, asker.person, now, Kind.EMAIL)
            letter = letters.email_taken()
        else:
            letter = letters.confirm_email(letters.link(plane.settings.public_url, Kind.EMAIL, token))
        vault = plane.settings.vault
        await mails.queue(tx, vault, email, letter, None, now)
        told = letters.notice("Somebody asked to move your account to another e-mail address.")
        await mails.queue(tx, vault, old, told, asker.person, now)
        await audit.record(tx, actor, "email.change_asked", f"person:{asker.person}", now)


async def confirm_email(plane: Plane, token: str, actor: Actor, now: dt.datetime) -> str:
    """What was sent to the old address opens nothing any more."""
    try:
        async with plane.asking(Asker()) as tx:
            voucher = await vouchers.redeem(tx, Kind.EMAIL, token, now)
            assert voucher.person_id is not None
            person, email = PersonId(voucher.person_id), str(voucher.detail["email"])
            await sessions.hold(tx, person)
            old = (await tx.scalars(select(Person.email).where(Person.id == person))).one()
            moved = update(Person).where(Person.id == person).values(email=email, email_verified_at=now)
            await tx.execute(moved)
            await vouchers.void(tx, person, now)
            told = letters.notice("Your account has another e-mail address now; this one no longer belongs to it.")
            await mails.queue(tx, plane.settings.vault, old, told, person, now)
            await audit.record(tx, actor, "email.changed", f"person:{person}", now)
    except IntegrityError:
        raise BadInput("This address has an account by now.", code="bad_voucher") from None
    return email


async def _mail_verify(tx: Tx, plane: Plane, person: PersonId, email: str, now: dt.datetime) -> None:
    url = await _link(tx, plane, Kind.VERIFY, person, now, email=email)
    await mails.queue(tx, plane.settings.vault, email, letters.verify(url), person, now)


async def _link(tx: Tx, plane: Plane, kind: Kind, person: PersonId, now: dt.datetime, **detail: str) -> str:
    return letters.link(plane.settings.public_url, kind, await vouchers.give(tx, kind, person, now, **detail))

"""Signing in: by password, then by code if there is a second factor; others prove who somebody is and end here too.

password ─┬─► session
          └─► half way (a voucher in the browser) ──code──► session
"""

import datetime as dt

from msgspec import Struct
from sqlalchemy import select, update

from control.accounts import passwords, second, sessions, tokens, vouchers
from control.accounts import service as accounts
from control.accounts.known import Known, Place, terms_at, to_accept
from control.accounts.model import Identity, Member, Organisation, Passkey, Person
from control.accounts.sessions import Browser
from control.accounts.vouchers import LASTS_S, Kind
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import NotSignedIn, Suspended
from control.http import About
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import OrgId, PersonId, new_id

CODE_TRIES_MAX = 5
"""Of one voucher; then the password is asked for again."""


class SignedIn(Struct, frozen=True):
    token: str
    known: Known


class HalfWay(Struct, frozen=True):
    """The password was right; a code must follow."""

    pending: str
    until: dt.datetime


async def with_password(
    plane: Plane, email: str, password: str, browser: Browser, actor: Actor, now: dt.datetime
) -> SignedIn | HalfWay | None:
    """None: no such pair, whichever half was wrong; or an address that nobody has confirmed yet."""
    email = email.strip().lower()[: accounts.EMAIL_CHARS_MAX]
    async with plane.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person).where(Person.email == email))
    known_hash = person.password_hash if person else None
    right = await passwords.matches(password, known_hash)
    if not right or person is None or known_hash is None or not _may(plane, person):
        return None
    newer = await passwords.hashed(password) if passwords.is_old(known_hash) else known_hash
    async with plane.asking(Asker(person=PersonId(person.id))) as tx:
        # A password that was changed since we read it is no longer the right one.
        unchanged = (
            update(Person)
            .where(Person.id == person.id, Person.password_hash == known_hash)
            .values(password_hash=newer)
            .returning(Person.id)
        )
        if await tx.scalar(unchanged) is None:
            return None
        return await admitted(tx, PersonId(person.id), browser, actor, now)


def _may(plane: Plane, person: Person) -> bool:
    return person.email_verified_at is not None or not plane.settings.must_verify


async def admitted(tx: Tx, person: PersonId, browser: Browser, actor: Actor, now: dt.datetime) -> SignedIn | HalfWay:
    """The first step is done; whether it was the only one."""
    if await second.is_on(tx, person):
        token = await vouchers.give(tx, Kind.CODE, person, now)
        await audit.record(tx, actor, "sign_in.half_way", f"person:{person}", now)
        return HalfWay(token, now + dt.timedelta(seconds=LASTS_S[Kind.CODE]))
    return await begin(tx, person, browser, actor, now)


async def begin(tx: Tx, person: PersonId, browser: Browser, actor: Actor, now: dt.datetime) -> SignedIn:
    """Always a new session with a new token: what the browser showed before is worth nothing afterwards. It begins in
    the organisation that one has been in longest, or in none."""
    mine = (
        select(Person, Member, Organisation, terms_at(now))
        .outerjoin(Member, Member.person_id == Person.id)
        .outerjoin(Organisation, Organisation.id == Member.org_id)
        .where(Person.id == person)
    )
    row = (await tx.execute(mine.order_by(Member.joined_at).limit(1))).one()
    owner, terms = row[0], row[3]
    member: Member | None = row[1]
    organisation: Organisation | None = row[2]
    if owner.suspended_at is not None:
        raise Suspended("This account is suspended: ask support why.")
    place = None
    if member is not None and organisation is not None:
        place = Place(OrgId(organisation.id), organisation.name, member.role, organisation.suspended_at is not None)
    org = place.org if place else None
    earlier = tokens.digest(browser.token) if browser.token else None
    await name_asker(tx, Asker(person=person, org=org, secret_hash=earlier))
    token, session = await sessions.begin(tx, person, org, browser, accounts.of(actor, person, org), now)
    known = Known(
        person=person,
        email=owner.email,
        platform_role=owner.platform_role,
        to_accept=to_accept(terms, owner.accepted_terms),
        place=place,
        kind="session",
        by=session,
    )
    return SignedIn(token, known)


async def with_code(
    plane: Plane, pending: str, code: str, browser: Browser, actor: Actor, now: dt.datetime
) -> SignedIn | None:
    """None: not the code, or of no use any more; the voucher has one try less."""
    async with plane.asking(Asker()) as tx:
        voucher = await vouchers.attempt(tx, Kind.CODE, pending, CODE_TRIES_MAX, now)
        if voucher is None or voucher.person_id is None:
            raise NotSignedIn("Sign in again: this step took too long, or too many tries.", code="bad_voucher")
        person = PersonId(voucher.person_id)
        if await second.accepts(tx, plane.settings.vault, person, code, accounts.of(actor, person, None), now):
            await vouchers.void(tx, person, now, Kind.CODE)
            return await begin(tx, person, browser, actor, now)
    return None


async def has_a_way(tx: Tx, person: PersonId) -> bool:
    """A password, a passkey or another provider; a mail to choose a password is for whom it is forgotten."""
    ways = (
        select(Person.id).where(Person.id == person, Person.password_hash.is_not(None)),
        select(Passkey.id).where(Passkey.person_id == person),
        select(Identity.id).where(Identity.person_id == person),
    )
    return any([await tx.scalar(way.limit(1)) is not None for way in ways])


async def owner_of(plane: Plane, pending: str) -> PersonId | None:
    """Whose step this is: wrong codes are counted by person, and only who knows the password can send any."""
    token_hash = tokens.digest(pending[: vouchers.TOKEN_CHARS_MAX])
    async with plane.asking(Asker(secret_hash=token_hash)) as tx:
        return await vouchers.whose(tx, token_hash)


async def warn(plane: Plane, person: PersonId, now: dt.datetime) -> None:
    """Somebody has the password and not the codes: the owner should know."""
    async with plane.asking(Asker(person=person)) as tx:
        owner = await tx.scalar(select(Person).where(Person.id == person))
        if owner is not None:
            told = letters.notice(
                "Somebody signed in with your password and then sent many wrong codes. If it was not you, they know"
                " your password."
            )
            await mails.queue(tx, plane.settings.vault, owner.email, told, person, now)


async def tried(plane: Plane, *, email: str = "", person: PersonId | None = None) -> About:
    """Whose account somebody tried. The same statements whether there is one, so that time does not tell; of an address
    that nobody has nothing is kept: people type passwords there."""
    async with plane.asking(Asker(email=email)) as tx:
        found = person or await tx.scalar(select(Person.id).where(Person.email == email))
        await name_asker(tx, Asker(person=PersonId(found or new_id())))
        org = await tx.scalar(
            select(Member.org_id).where(Member.person_id == found).order_by(Member.joined_at).limit(1)
        )
    return About(f"person:{found}" if found else "person:unknown", org)

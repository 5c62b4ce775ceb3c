"""Verbs on people: register, sign in and out."""

import datetime as dt
import re
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from control.accounts import passwords, tokens
from control.accounts.known import Known, Place
from control.accounts.known import of as known_of
from control.accounts.model import Member, Organisation, Person, Session
from control.accounts.permissions import OrgRole, PlatformRole
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Database, Tx, name_asker
from control.errors import BadInput, Conflict
from control.http import About
from wire.ids import OrgId, PersonId, SessionId, new_id
from wire.units import DAY_S

SESSION_S = 14 * DAY_S
"""A browser that is used at all in a fortnight stays signed in no longer than this."""
SESSIONS_MAX = 50
"""Of one person; the oldest end first."""
NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254
"""RFC 5321's."""
AGENT_CHARS_MAX = 300

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


class SignedIn(Struct, frozen=True):
    token: str
    known: Known


def clean_email(text: str) -> str:
    email = text.strip().lower()
    if len(email) > EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email) or ".." in email:
        raise BadInput("This is not an e-mail address that we can write to.", code="bad_email")
    return email


def clean_label(text: str, what: str) -> str:
    label = " ".join(text.split())
    if not 0 < len(label) <= NAME_CHARS_MAX or not label.isprintable():
        raise BadInput(f"{what} has 1 to {NAME_CHARS_MAX} printable characters.", code="bad_name")
    return label


async def register(
    db: Database, email: str, password: str, org_name: str | None, actor: Actor, now: dt.datetime
) -> Known:
    """A person and the organisation of their own."""
    email = clean_email(email)
    passwords.check(password)
    label = clean_label(org_name, "A name") if org_name is not None else email.partition("@")[0]
    password_hash = await passwords.hashed(password)
    person, org = PersonId(new_id()), OrgId(new_id())
    try:
        async with db.asking(Asker(org=org, person=person)) as tx:
            await create(tx, person, org, email, password_hash, label, now)
            await audit.record(tx, of(actor, person, org), "person.registered", f"person:{person}", now)
    except IntegrityError:
        raise Conflict("This e-mail address has an account already: sign in.", code="email_taken") from None
    return Known(
        person=person,
        email=email,
        platform_role=PlatformRole.USER,
        place=Place(org, label, OrgRole.OWNER),
        kind="session",
        by=person,
    )


async def create(
    tx: Tx,
    person: PersonId,
    org: OrgId,
    email: str,
    password_hash: str,
    label: str,
    now: dt.datetime,
    platform_role: PlatformRole = PlatformRole.USER,
) -> None:
    tx.add(Organisation(id=org, name=label, created_at=now))
    tx.add(Person(id=person, email=email, password_hash=password_hash, platform_role=platform_role, created_at=now))
    await tx.flush()
    tx.add(Member(org_id=org, person_id=person, role=OrgRole.OWNER, joined_at=now))
    await tx.flush()


async def log_in(
    db: Database, email: str, password: str, user_agent: str | None, actor: Actor, now: dt.datetime
) -> SignedIn | None:
    """None: no such pair, whichever half was wrong."""
    email = email.strip().lower()[:EMAIL_CHARS_MAX]
    async with db.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person).where(Person.email == email))
    if not await passwords.matches(password, person.password_hash if person else None) or person is None:
        return None
    token, session = tokens.new_session_token(), SessionId(new_id())
    async with db.asking(Asker(person=PersonId(person.id))) as tx:
        member, organisation = await _first_place(tx, person.id)
        await name_asker(tx, Asker(person=PersonId(person.id), org=OrgId(member.org_id) if member else None))
        await _make_room(tx, person.id, now)
        tx.add(
            Session(
                id=session,
                person_id=person.id,
                org_id=member.org_id if member else None,
                token_hash=tokens.digest(token),
                user_agent=user_agent[:AGENT_CHARS_MAX] if user_agent else None,
                created_at=now,
                expires_at=now + dt.timedelta(seconds=SESSION_S),
            )
        )
        who = of(actor, PersonId(person.id), OrgId(member.org_id) if member else None)
        await audit.record(tx, who, "session.started", f"session:{session}", now)
    return SignedIn(token, known_of(person, member, organisation, "session", session))


async def _first_place(tx: Tx, person: UUID) -> tuple[Member, Organisation] | tuple[None, None]:
    """Where a session begins."""
    mine = select(Member, Organisation).join(Organisation, Organisation.id == Member.org_id)
    row = (await tx.execute(mine.where(Member.person_id == person).order_by(Member.joined_at).limit(1))).first()
    return (row[0], row[1]) if row else (None, None)


async def whose(db: Database, email: str) -> About:
    """Whose account somebody tried. The same statements whether there is one, so that time does not tell; of an address
    that nobody has nothing is kept: people type passwords there."""
    async with db.asking(Asker(email=email)) as tx:
        person = await tx.scalar(select(Person.id).where(Person.email == email))
        await name_asker(tx, Asker(person=PersonId(person or new_id())))
        org = await tx.scalar(
            select(Member.org_id).where(Member.person_id == person).order_by(Member.joined_at).limit(1)
        )
    return About(f"person:{person}" if person else "person:unknown", org)


async def _make_room(tx: Tx, person: UUID, now: dt.datetime) -> None:
    newest = (
        select(Session.id)
        .where(Session.person_id == person, Session.expires_at > now)
        .order_by(Session.created_at.desc())
        .limit(SESSIONS_MAX - 1)
    )
    await tx.execute(delete(Session).where(Session.person_id == person, Session.id.not_in(newest)))


async def log_out(tx: Tx, session: UUID, actor: Actor, now: dt.datetime) -> None:
    await tx.execute(delete(Session).where(Session.id == session))
    await audit.record(tx, actor, "session.ended", f"session:{session}", now)


def of(actor: Actor, person: PersonId, org: OrgId | None) -> Actor:
    """The same request, now that it is known whose it is."""
    return Actor(name=f"person:{person}", org=org, request_id=actor.request_id, ip=actor.ip)

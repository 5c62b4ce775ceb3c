"""Verbs on people: register, sign in and out, find out who presents a secret, make and revoke API keys."""

import datetime as dt
import re
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from control.accounts import passwords, tokens
from control.accounts.model import ApiKey, Member, Organisation, Person, Session
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Asker, Database, Tx, name_asker
from control.errors import BadInput, Conflict, Forbidden, NotFound
from control.http import About
from wire.ids import KeyId, OrgId, PersonId, SessionId, new_id
from wire.units import DAY_S, MINUTE_S

SESSION_S = 14 * DAY_S
"""A browser that is used at all in a fortnight stays signed in no longer than this."""
SESSIONS_MAX = 50
"""Of one person; the oldest end first."""
KEYS_MAX = 50
"""Of one organisation: more are forgotten ones."""
NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254
"""RFC 5321's."""
NETWORKS_MAX = 50
"""That a key is remembered to have been used from; one that is seen again after so many others is new."""
SEEN_EVERY_S = MINUTE_S
"""A key's last use is written at most so often."""
AGENT_CHARS_MAX = 300

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


class Known(Struct, frozen=True, kw_only=True):
    """Somebody whose secret was right."""

    person: PersonId
    org: OrgId
    org_name: str
    email: str
    platform_role: str
    by: UUID
    """The session or the key."""


class SignedIn(Struct, frozen=True):
    token: str
    session: SessionId
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
    return Known(person=person, org=org, org_name=label, email=email, platform_role="user", by=person)


async def create(
    tx: Tx,
    person: PersonId,
    org: OrgId,
    email: str,
    password_hash: str,
    label: str,
    now: dt.datetime,
    platform_role: str = "user",
) -> None:
    tx.add(Organisation(id=org, name=label, created_at=now))
    tx.add(Person(id=person, email=email, password_hash=password_hash, platform_role=platform_role, created_at=now))
    await tx.flush()
    tx.add(Member(org_id=org, person_id=person, role="owner", joined_at=now))
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
        known = await _member(tx, person.id, session)
        if known is None:
            raise Forbidden("This account belongs to no organisation.", code="no_organisation")
        await name_asker(tx, Asker(person=known.person, org=known.org))
        await _make_room(tx, person.id, now)
        tx.add(
            Session(
                id=session,
                person_id=person.id,
                token_hash=tokens.digest(token),
                user_agent=user_agent[:AGENT_CHARS_MAX] if user_agent else None,
                created_at=now,
                expires_at=now + dt.timedelta(seconds=SESSION_S),
            )
        )
        who = of(actor, known.person, known.org)
        await audit.record(tx, who, "session.started", f"session:{session}", now)
    return SignedIn(token, session, known)


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


async def by_session(tx: Tx, token_hash: bytes, now: dt.datetime) -> Known | None:
    """`tx` names the secret; row-level security shows the one row that it opens."""
    session = await tx.scalar(select(Session).where(Session.token_hash == token_hash, Session.expires_at > now))
    if session is None:
        return None
    await name_asker(tx, Asker(person=PersonId(session.person_id)))
    return await _member(tx, session.person_id, session.id)


async def by_key(tx: Tx, token_hash: bytes, network: str, actor: Actor, now: dt.datetime) -> Known | None:
    key = await tx.scalar(select(ApiKey).where(ApiKey.token_hash == token_hash, ApiKey.revoked_at.is_(None)))
    if key is None:
        return None
    await name_asker(tx, Asker(person=PersonId(key.person_id), org=OrgId(key.org_id)))
    stale = now - dt.timedelta(seconds=SEEN_EVERY_S)
    if key.last_used_at is None or key.last_used_at < stale:
        await tx.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    if network not in key.networks:
        await _new_place(tx, key, network, actor, now)
    return await _member(tx, key.person_id, key.id, key.org_id)


async def _new_place(tx: Tx, key: ApiKey, network: str, actor: Actor, now: dt.datetime) -> None:
    """Told once, by whoever is first to write it down; where a key is used for the first time is no news."""
    before = key.networks
    networks = [*before, network][-NETWORKS_MAX:]
    same = (ApiKey.id == key.id, ApiKey.networks == before)
    first = await tx.scalar(update(ApiKey).where(*same).values(networks=networks).returning(ApiKey.id))
    if first is not None and before:
        who = Actor(name=f"key:{key.id}", org=key.org_id, request_id=actor.request_id, ip=actor.ip)
        await audit.record_as(tx, Severity.WARNING, who, "key.new_place", f"key:{key.id}", now, network=network)


async def by_claims(tx: Tx, claims: tokens.Claims) -> Known | None:
    """`tx` names the organisation and the person of the claims; their key must still stand."""
    key = await tx.scalar(select(ApiKey).where(ApiKey.id == claims.key, ApiKey.revoked_at.is_(None)))
    if key is None or key.person_id != claims.person:
        return None
    return await _member(tx, key.person_id, key.id, key.org_id)


async def _member(tx: Tx, person: UUID, by: UUID, org: UUID | None = None) -> Known | None:
    found = (
        select(Person, Organisation)
        .join(Member, Member.person_id == Person.id)
        .join(Organisation, Organisation.id == Member.org_id)
        .where(Person.id == person)
        .order_by(Member.joined_at)
        .limit(1)
    )
    row = (await tx.execute(found.where(Member.org_id == org) if org else found)).first()
    if row is None:
        return None
    known, organisation = row
    return Known(
        person=PersonId(known.id),
        org=OrgId(organisation.id),
        org_name=organisation.name,
        email=known.email,
        platform_role=known.platform_role,
        by=by,
    )


async def create_key(
    tx: Tx, person: PersonId, org: OrgId, name: str, actor: Actor, now: dt.datetime
) -> tuple[ApiKey, str]:
    """The row, and the secret that nobody will see again."""
    label = clean_label(name, "A key's name")
    if len(await keys(tx, org)) >= KEYS_MAX:
        raise Conflict(f"An organisation has at most {KEYS_MAX} keys: revoke one.", code="too_many_keys")
    new = tokens.new_key()
    key = ApiKey(
        id=KeyId(new_id()),
        org_id=org,
        person_id=person,
        name=label,
        prefix=new.prefix,
        token_hash=tokens.digest(new.secret),
        created_at=now,
        last_used_at=None,
        revoked_at=None,
    )
    tx.add(key)
    await audit.record(tx, actor, "key.created", f"key:{key.id}", now, name=label)
    return key, new.secret


async def keys(tx: Tx, org: OrgId) -> list[ApiKey]:
    found = select(ApiKey).where(ApiKey.org_id == org, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
    return list(await tx.scalars(found))


async def revoke_key(tx: Tx, org: OrgId, key: UUID, actor: Actor, now: dt.datetime) -> None:
    found = await tx.scalar(
        update(ApiKey)
        .where(ApiKey.id == key, ApiKey.org_id == org, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiKey.name)
    )
    if found is None:
        raise NotFound("There is no such key.")
    await audit.record(tx, actor, "key.revoked", f"key:{key}", now, before={"name": found})


def of(actor: Actor, person: PersonId, org: OrgId) -> Actor:
    """The same request, now that it is known whose it is."""
    return Actor(name=f"person:{person}", org=org, request_id=actor.request_id, ip=actor.ip)

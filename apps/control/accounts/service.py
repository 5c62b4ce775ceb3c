"""Verbs on accounts: make one, find out who presents a secret, make and revoke API keys."""

import datetime as dt
import re
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select, update

from control.accounts import sessions, tokens
from control.accounts.model import ApiKey, Member, Organisation, Person, Session
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict, NotFound
from wire.ids import KeyId, OrgId, PersonId, new_id
from wire.units import MINUTE_S

KEYS_MAX = 50
"""Of one organisation: more are forgotten ones."""
NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254
"""RFC 5321's."""
SEEN_EVERY_S = MINUTE_S
"""A key's last use is written at most so often."""

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


async def create(
    tx: Tx,
    person: PersonId,
    org: OrgId,
    email: str,
    password_hash: str | None,
    label: str,
    now: dt.datetime,
    platform_role: str = "user",
    *,
    verified_at: dt.datetime | None = None,
) -> None:
    """A person and the organisation of their own."""
    tx.add(Organisation(id=org, name=label, created_at=now))
    tx.add(
        Person(
            id=person,
            email=email,
            password_hash=password_hash,
            platform_role=platform_role,
            created_at=now,
            email_verified_at=verified_at,
        )
    )
    await tx.flush()
    tx.add(Member(org_id=org, person_id=person, role="owner", joined_at=now))
    await tx.flush()


async def by_session(tx: Tx, token_hash: bytes, network: str, now: dt.datetime) -> Known | None:
    """`tx` names the secret; row-level security shows the one row that it opens."""
    session = await tx.scalar(select(Session).where(Session.token_hash == token_hash, Session.expires_at > now))
    if session is None:
        return None
    await name_asker(tx, Asker(person=PersonId(session.person_id)))
    await sessions.seen(tx, session, network, now)
    return await member(tx, session.person_id, session.id)


async def by_key(tx: Tx, token_hash: bytes, now: dt.datetime) -> Known | None:
    key = await tx.scalar(select(ApiKey).where(ApiKey.token_hash == token_hash, ApiKey.revoked_at.is_(None)))
    if key is None:
        return None
    await name_asker(tx, Asker(person=PersonId(key.person_id), org=OrgId(key.org_id)))
    stale = now - dt.timedelta(seconds=SEEN_EVERY_S)
    if key.last_used_at is None or key.last_used_at < stale:
        await tx.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    return await member(tx, key.person_id, key.id, key.org_id)


async def by_claims(tx: Tx, claims: tokens.Claims) -> Known | None:
    """`tx` names the organisation and the person of the claims; their key must still stand."""
    key = await tx.scalar(select(ApiKey).where(ApiKey.id == claims.key, ApiKey.revoked_at.is_(None)))
    if key is None or key.person_id != claims.person:
        return None
    return await member(tx, key.person_id, key.id, key.org_id)


async def member(tx: Tx, person: UUID, by: UUID, org: UUID | None = None) -> Known | None:
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
        .returning(ApiKey.id)
    )
    if found is None:
        raise NotFound("There is no such key.")
    await audit.record(tx, actor, "key.revoked", f"key:{key}", now)


def of(actor: Actor, person: PersonId, org: OrgId) -> Actor:
    """The same request, now that it is known whose it is."""
    return Actor(name=f"person:{person}", org=org, request_id=actor.request_id, ip=actor.ip)

"""Who presents a secret: a person, the organisation they act for, and their roles, each read in one query."""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ScalarSelect, Select, func, or_, select, update

from control.accounts import sessions
from control.accounts.model import ApiKey, Member, Organisation, Person, Session, Terms
from control.accounts.permissions import Kind, OrgRole, Permission, PlatformRole, granted
from control.accounts.tokens import Claims
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from wire.ids import OrgId, PersonId
from wire.units import MINUTE_S

SEEN_EVERY_S = MINUTE_S
"""A key's last use is written at most so often."""
NETWORKS_MAX = 50
"""That a key is remembered to have been used from; one that is seen again after so many others is new."""


class Place(Struct, frozen=True):
    """An organisation, and what somebody is in it."""

    org: OrgId
    name: str
    role: OrgRole
    suspended: bool = False


class Known(Struct, frozen=True, kw_only=True):
    """Somebody whose secret was right."""

    person: PersonId
    email: str
    platform_role: PlatformRole
    suspended: bool = False
    to_accept: int | None = None
    """The version of the terms that is current, and not accepted yet."""
    place: Place | None
    """None: in no organisation, or no more in the one that the session was for."""
    kind: Kind
    by: UUID
    """The session, or the key (also of a token)."""
    scopes: tuple[str, ...] | None = None
    """What a key or token carries; a session carries all that its person may."""

    @property
    def permissions(self) -> frozenset[Permission]:
        return granted(self.place.role if self.place else None, self.platform_role, self.kind, self.scopes)


async def by_session(tx: Tx, token_hash: bytes, network: str, now: dt.datetime) -> Known | None:
    """`tx` names the secret; row-level security shows what it opens."""
    found = (
        select(Session, Person, Member, Organisation, terms_at(now))
        .join(Person, Person.id == Session.person_id)
        .outerjoin(Member, (Member.person_id == Session.person_id) & (Member.org_id == Session.org_id))
        .outerjoin(Organisation, Organisation.id == Member.org_id)
        .where(Session.token_hash == token_hash, Session.expires_at > now)
    )
    row = (await tx.execute(found)).first()
    if row is None:
        return None
    session, person, member, organisation, terms = row
    await sessions.seen(tx, session, network, now)
    return of(person, member, organisation, terms, "session", session.id)


async def by_key(tx: Tx, token_hash: bytes, network: str, actor: Actor, now: dt.datetime) -> Known | None:
    row = (await tx.execute(_keys(now).where(ApiKey.token_hash == token_hash))).first()
    if row is None:
        return None
    key, person, member, organisation, terms = row
    is_stale = key.last_used_at is None or key.last_used_at < now - dt.timedelta(seconds=SEEN_EVERY_S)
    if is_stale or network not in key.networks:
        await name_asker(tx, Asker(person=PersonId(person.id), org=OrgId(organisation.id)))
    if is_stale:
        await tx.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    if network not in key.networks:
        await _new_place(tx, key, network, actor, now)
    return of(person, member, organisation, terms, "key", key.id, tuple(key.scopes))


async def _new_place(tx: Tx, key: ApiKey, network: str, actor: Actor, now: dt.datetime) -> None:
    """Told once, by whoever is first to write it down; where a key is used for the first time is no news."""
    before = key.networks
    networks = [*before, network][-NETWORKS_MAX:]
    same = (ApiKey.id == key.id, ApiKey.networks == before)
    first = await tx.scalar(update(ApiKey).where(*same).values(networks=networks).returning(ApiKey.id))
    if first is not None and before:
        who = Actor(name=f"key:{key.id}", org=key.org_id, request_id=actor.request_id, ip=actor.ip)
        await audit.record_as(tx, Severity.WARNING, who, "key.new_place", f"key:{key.id}", now, network=network)


async def by_claims(tx: Tx, claims: Claims, now: dt.datetime) -> Known | None:
    """`tx` names the organisation and the person of the claims; their key must still stand."""
    mine = (ApiKey.id == claims.key, ApiKey.person_id == claims.person, ApiKey.org_id == claims.org)
    row = (await tx.execute(_keys(now).where(*mine))).first()
    return of(row[1], row[2], row[3], row[4], "token", row[0].id, claims.scopes) if row else None


async def still(tx: Tx, by: Collection[UUID], now: dt.datetime) -> set[tuple[UUID, OrgId]]:
    """Of sessions and keys those that are good, each with the organisations that it may look into. `tx` sees all."""
    mine = Member.person_id == Person.id
    sessions_of = (
        select(Session.id, Member.org_id)
        .join(Person, Person.id == Session.person_id)
        .join(Member, mine)
        .join(Organisation, Organisation.id == Member.org_id)
        .where(Session.id.in_(by), Session.expires_at > now)
    )
    keys_of = _keys(now).where(ApiKey.id.in_(by)).with_only_columns(ApiKey.id, ApiKey.org_id)
    welcome = (Person.suspended_at.is_(None), Organisation.suspended_at.is_(None))
    rows = [row for found in (sessions_of, keys_of) for row in (await tx.execute(found.where(*welcome))).all()]
    return {(each, OrgId(org)) for each, org in rows}


def terms_at(now: dt.datetime) -> ScalarSelect[int | None]:
    """The version that is in force; none, if none was ever published."""
    return select(func.max(Terms.version)).where(Terms.effective_at <= now).scalar_subquery()


def _keys(now: dt.datetime) -> Select[ApiKey, Person, Member, Organisation, int | None]:
    """That are good. One ends with its person's membership."""
    return (
        select(ApiKey, Person, Member, Organisation, terms_at(now))
        .join(Person, Person.id == ApiKey.person_id)
        .join(Member, (Member.person_id == ApiKey.person_id) & (Member.org_id == ApiKey.org_id))
        .join(Organisation, Organisation.id == ApiKey.org_id)
        .where(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
    )


def of(
    person: Person,
    member: Member | None,
    organisation: Organisation | None,
    terms: int | None,
    kind: Kind,
    by: UUID,
    scopes: tuple[str, ...] | None = None,
) -> Known:
    place = None
    if member is not None and organisation is not None:
        place = Place(OrgId(organisation.id), organisation.name, member.role, organisation.suspended_at is not None)
    return Known(
        person=PersonId(person.id),
        email=person.email,
        platform_role=person.platform_role,
        suspended=person.suspended_at is not None,
        to_accept=terms if terms is not None and terms > (person.accepted_terms or 0) else None,
        place=place,
        kind=kind,
        by=by,
        scopes=scopes,
    )

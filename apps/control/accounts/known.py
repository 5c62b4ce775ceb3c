"""Who presents a secret: a person, the organisation they act for, and their roles, each read in one query."""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import ScalarSelect, func, or_, select, update

from control.accounts.model import ApiKey, Member, Organisation, Person, Session, Terms
from control.accounts.permissions import Kind, OrgRole, Permission, PlatformRole, granted
from control.accounts.tokens import Claims
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Database, Tx
from wire.ids import OrgId, PersonId
from wire.units import MINUTE_S

SEEN_EVERY_S = MINUTE_S
"""A session's or key's last use is written at most so often."""
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


class Seen(Struct, frozen=True):
    """Somebody known, and when and where the secret was used before."""

    known: Known
    used_at: dt.datetime | None
    networks: tuple[str, ...] | None = None
    """Of a key; null: of a session."""

    def is_news(self, network: str, now: dt.datetime) -> bool:
        """Whether there is anything to write down."""
        return self.is_stale(now) or (self.networks is not None and network not in self.networks)

    def is_stale(self, now: dt.datetime) -> bool:
        return self.used_at is None or self.used_at < now - dt.timedelta(seconds=SEEN_EVERY_S)


_TEXTS = msgspec.json.Decoder(tuple[str, ...])


async def by_session(db: Database, token_hash: bytes, now: dt.datetime) -> Seen | None:
    """Row-level security shows what the secret opens."""
    row = await db.one("SELECT * FROM known_by_session($1, $2)", token_hash, now)
    return Seen(_known(row, "session"), row["used_at"]) if row else None


async def by_key(db: Database, token_hash: bytes, now: dt.datetime) -> Seen | None:
    row = await db.one("SELECT * FROM known_by_key($1, $2)", token_hash, now)
    if row is None:
        return None
    return Seen(_known(row, "key", _TEXTS.decode(row["scopes"])), row["used_at"], _TEXTS.decode(row["networks"]))


async def by_claims(db: Database, claims: Claims, now: dt.datetime) -> Known | None:
    """Their key must still stand."""
    said = (claims.key, claims.person, claims.org, now)
    row = await db.one("SELECT * FROM known_by_claims($1, $2, $3, $4)", *said)
    return _known(row, "token", claims.scopes) if row else None


def _known(row: Mapping[str, Any], kind: Kind, scopes: tuple[str, ...] | None = None) -> Known:
    place = None
    if row["org"] is not None:
        place = Place(OrgId(row["org"]), row["org_name"], OrgRole(row["role"]), row["is_org_suspended"])
    return Known(
        person=PersonId(row["person"]),
        email=row["email"],
        platform_role=PlatformRole(row["platform_role"]),
        suspended=row["is_suspended"],
        to_accept=to_accept(row["terms"], row["accepted_terms"]),
        place=place,
        kind=kind,
        by=row["id"],
        scopes=scopes,
    )


def to_accept(current: int | None, accepted: int | None) -> int | None:
    """Of the terms' versions."""
    return current if current is not None and current > (accepted or 0) else None


async def used(tx: Tx, seen: Seen, network: str, actor: Actor, now: dt.datetime) -> None:
    """Writes down when, and of a key where; `tx` acts for whom it belongs to."""
    by = seen.known.by
    if seen.networks is None:
        await tx.execute(update(Session).where(Session.id == by).values(seen_at=now, network=network))
        return
    if seen.is_stale(now):
        await tx.execute(update(ApiKey).where(ApiKey.id == by).values(last_used_at=now))
    if network not in seen.networks and seen.known.place is not None:
        await _new_place(tx, by, seen.known.place.org, list(seen.networks), network, actor, now)


async def _new_place(
    tx: Tx, key: UUID, org: OrgId, before: list[str], network: str, actor: Actor, now: dt.datetime
) -> None:
    """Told once, by whoever is first to write it down; where a key is used for the first time is no news."""
    networks = [*before, network][-NETWORKS_MAX:]
    same = (ApiKey.id == key, ApiKey.networks == before)
    first = await tx.scalar(update(ApiKey).where(*same).values(networks=networks).returning(ApiKey.id))
    if first is not None and before:
        who = Actor(name=f"key:{key}", org=org, request_id=actor.request_id, ip=actor.ip)
        await audit.record_as(tx, Severity.WARNING, who, "key.new_place", f"key:{key}", now, network=network)


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
    keys_of = (
        select(ApiKey.id, ApiKey.org_id)
        .join(Person, Person.id == ApiKey.person_id)
        .join(Member, mine & (Member.org_id == ApiKey.org_id))
        .join(Organisation, Organisation.id == ApiKey.org_id)
        .where(
            ApiKey.id.in_(by), ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
        )
    )
    welcome = (Person.suspended_at.is_(None), Organisation.suspended_at.is_(None))
    rows = [row for found in (sessions_of, keys_of) for row in (await tx.execute(found.where(*welcome))).all()]
    return {(each, OrgId(org)) for each, org in rows}


def terms_at(now: dt.datetime) -> ScalarSelect[int | None]:
    """The version that is in force; none, if none was ever published."""
    return select(func.max(Terms.version)).where(Terms.effective_at <= now).scalar_subquery()

"""Verbs on organisations: make, list, enter, rename, limit, close.

Whoever changes who is in one, or counts what it has, holds its lock. A deleted one has nobody from that moment on; what
it had is ended by loop `close`.
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import delete, func, select, update

from control.accounts import tokens
from control.accounts.known import Place
from control.accounts.model import ApiKey, Fellow, Invitation, Member, Organisation, Person, Session
from control.accounts.permissions import OrgRole
from control.accounts.service import clean_label
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict, NotFound
from control.speed import LimitSpeed
from wire.ids import OrgId, PersonId, new_id
from wire.messages import Pace

OWNED_MAX = 20
"""Organisations of one owner: each has a quota of its own."""


class Closed(Struct, frozen=True):
    others: list[str]
    """E-mail addresses of who else was in it."""


async def lock(tx: Tx, org: OrgId) -> None:
    """One at a time counts and changes: a limit that two read at once is no limit."""
    await tx.execute(select(Organisation.id).where(Organisation.id == org).with_for_update(key_share=True))


async def create(tx: Tx, person: PersonId, name: str, actor: Actor, now: dt.datetime) -> OrgId:
    """`tx` is left acting for the new one."""
    label, org = clean_label(name, "A name"), OrgId(new_id())
    await name_asker(tx, Asker(org=org, person=person))
    alone = select(Person.id).where(Person.id == person, Person.deleted_at.is_(None)).with_for_update(key_share=True)
    if await tx.scalar(alone) is None:
        raise Conflict("This account was deleted just now.", code="account_deleted")
    owned = select(func.count()).where(Member.person_id == person, Member.role == OrgRole.OWNER)
    if int(await tx.scalar(owned) or 0) >= OWNED_MAX:
        raise Conflict(f"Somebody owns at most {OWNED_MAX} organisations.", code="too_many_organisations")
    tx.add(Organisation(id=org, name=label, created_at=now, deleted_at=None))
    await tx.flush()
    tx.add(Member(org_id=org, person_id=person, role=OrgRole.OWNER, joined_at=now))
    await audit.record(tx, actor.within(org), "organisation.created", f"organisation:{org}", now, name=label)
    await tx.flush()
    return org


async def mine(tx: Tx, person: PersonId) -> list[Place]:
    found = select(Organisation, Member.role).join(Member, Member.org_id == Organisation.id)
    rows = await tx.execute(found.where(Member.person_id == person).order_by(Member.joined_at))
    return [Place(OrgId(organisation.id), organisation.name, role) for organisation, role in rows]


async def enter(tx: Tx, person: PersonId, session: UUID, org: UUID, actor: Actor, now: dt.datetime) -> str:
    """The session acts for another organisation from now on, under a new token: the old one never had these rights."""
    member = select(Member.org_id).where(Member.org_id == org, Member.person_id == person)
    if await tx.scalar(member) is None:
        raise NotFound("You are in no such organisation.")
    token = tokens.new_session_token()
    values = {"org_id": org, "token_hash": tokens.digest(token)}
    await tx.execute(update(Session).where(Session.id == session).values(values))
    await name_asker(tx, Asker(org=OrgId(org), person=person))
    await audit.record(tx, actor.within(org), "session.entered", f"session:{session}", now)
    return token


async def rename(tx: Tx, org: OrgId, name: str, actor: Actor, now: dt.datetime) -> str:
    label = clean_label(name, "A name")
    await lock(tx, org)
    before = await tx.scalar(select(Organisation.name).where(Organisation.id == org))
    await tx.execute(update(Organisation).where(Organisation.id == org).values(name=label))
    await audit.record(tx, actor, "organisation.renamed", f"organisation:{org}", now, before=before, after=label)
    return label


async def pace(tx: Tx, org: OrgId) -> Pace:
    return Pace(
        *(await tx.execute(select(Organisation.down_max, Organisation.up_max).where(Organisation.id == org))).one()
    )


async def limit(tx: Tx, org: OrgId, asked: LimitSpeed, actor: Actor, now: dt.datetime) -> Pace:
    """Of all its transfers together; loop `shares` divides it."""
    await lock(tx, org)
    before = await pace(tx, org)
    if (after := asked.of(before)) != before:
        await tx.execute(update(Organisation).where(Organisation.id == org).values(asdict(after)))
        said = {"before": asdict(before), "after": asdict(after)}
        await audit.record(tx, actor, "organisation.limited", f"organisation:{org}", now, **said)
    return after


async def close(tx: Tx, org: OrgId, person: PersonId, confirm: str, actor: Actor, now: dt.datetime) -> Closed:
    """Nobody is in it any more, its keys and invitations are void, and nothing of this comes back."""
    await lock(tx, org)
    name = await tx.scalar(select(Organisation.name).where(Organisation.id == org, Organisation.deleted_at.is_(None)))
    if name is None:
        raise NotFound("There is no such organisation.")
    if confirm != name:
        raise BadInput(f"To delete it, type its name: {name}", code="not_confirmed")
    return await end(tx, org, person, name, actor, now)


async def end(tx: Tx, org: OrgId, person: PersonId, name: str, actor: Actor, now: dt.datetime) -> Closed:
    """The caller holds its lock."""
    others = select(Fellow.email).where(Fellow.org_id == org, Fellow.person_id != person).order_by(Fellow.email)
    addresses = list(await tx.scalars(others))
    await tx.execute(update(Organisation).where(Organisation.id == org).values(deleted_at=now))
    await tx.execute(update(ApiKey).where(ApiKey.org_id == org, ApiKey.revoked_at.is_(None)).values(revoked_at=now))
    await tx.execute(delete(Invitation).where(Invitation.org_id == org))
    await tx.execute(delete(Member).where(Member.org_id == org))
    await audit.record(
        tx, actor, "organisation.deleted", f"organisation:{org}", now, name=name, members=len(addresses) + 1
    )
    return Closed(addresses)

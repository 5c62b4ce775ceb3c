"""Who and what there is: people, organisations, jobs and agents, found by a text or an id. Nothing is changed here.

A text is looked for in names and addresses; of jobs in the newest LOOKED_MAX, since no index serves it.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, ScalarSelect, Select, and_, cast, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from control.accounts.model import ApiKey, Identity, Member, Organisation, Passkey, Person, Session, Totp
from control.accounts.permissions import OrgRole, PlatformRole
from control.db import Tx
from control.errors import NotFound
from control.fleet.model import Agent
from control.jobs.model import Job
from control.torrents.model import Torrent
from control.transfers.model import Transfer
from control.webhooks.model import Webhook
from wire.states import AgentState, JobState

LOOKED_MAX = 10_000
"""Some tens of milliseconds."""
FOUND_MAX = 10
"""Of each kind, where everything is looked for at once."""
HASH_CHARS = {40: Torrent.v1, 64: Torrent.v2}


class PersonRow(Struct, frozen=True):
    id: UUID
    email: str
    platform_role: PlatformRole
    organisations: int
    email_verified_at: dt.datetime | None
    seen_at: dt.datetime | None
    """When a session of theirs was used last."""
    created_at: dt.datetime
    deleted_at: dt.datetime | None
    suspended_at: dt.datetime | None
    suspended_for: str | None


class MembershipRow(Struct, frozen=True):
    organisation: UUID
    name: str
    role: OrgRole
    joined_at: dt.datetime


class PersonDetail(Struct, frozen=True):
    person: PersonRow
    memberships: list[MembershipRow]
    sessions: int
    keys: int
    passkeys: int
    identities: int
    has_password: bool
    has_totp: bool


class OrganisationRow(Struct, frozen=True):
    id: UUID
    name: str
    members: int
    jobs: int
    """On its list."""
    stored_bytes: int
    created_at: dt.datetime
    deleted_at: dt.datetime | None
    suspended_at: dt.datetime | None
    suspended_for: str | None


class MemberRow(Struct, frozen=True):
    person: UUID
    email: str
    role: OrgRole
    joined_at: dt.datetime


class OrganisationDetail(Struct, frozen=True):
    organisation: OrganisationRow
    members: list[MemberRow]
    jobs: dict[str, int]
    """By state."""
    keys: int
    webhooks: int


class JobRow(Struct, frozen=True):
    """What an operator needs to know of somebody's job."""

    id: UUID
    organisation: UUID
    person: UUID
    """Who asked for it."""
    name: str
    state: JobState
    v1: str | None
    v2: str | None
    size_bytes: int | None
    stored_bytes: int
    transfer: UUID
    agent: UUID | None
    tries: int
    failure: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    ended_at: dt.datetime | None
    removed_at: dt.datetime | None


class AgentFound(Struct, frozen=True):
    id: UUID
    name: str
    pool: str
    state: AgentState


class Found(Struct, frozen=True):
    people: list[PersonRow]
    organisations: list[OrganisationRow]
    jobs: list[JobRow]
    agents: list[AgentFound]


async def people(tx: Tx, text: str | None, before: UUID | None, limit: int) -> list[PersonRow]:
    """Newest first."""
    found = _people().order_by(Person.id.desc()).limit(limit)
    if text:
        found = found.where(_says(text, Person.id, Person.email))
    if before is not None:
        found = found.where(Person.id < before)
    return [PersonRow(*row) for row in await tx.execute(found)]


async def person(tx: Tx, person_id: UUID) -> PersonDetail:
    row = (await tx.execute(_people().where(Person.id == person_id))).first()
    if row is None:
        raise NotFound("There is no such person.")
    places = select(Organisation.id, Organisation.name, Member.role, Member.joined_at).join(
        Member, Member.org_id == Organisation.id
    )
    memberships = await tx.execute(places.where(Member.person_id == person_id).order_by(Member.joined_at))
    has_totp = exists().where(Totp.person_id == person_id, Totp.confirmed_at.is_not(None))
    counts = await tx.execute(
        select(
            _count(Session.person_id == person_id, Session.expires_at > func.now()),
            _count(ApiKey.person_id == person_id, ApiKey.revoked_at.is_(None)),
            _count(Passkey.person_id == person_id),
            _count(Identity.person_id == person_id),
            Person.password_hash.is_not(None),
            has_totp,
        ).where(Person.id == person_id)
    )
    return PersonDetail(PersonRow(*row), [MembershipRow(*each) for each in memberships], *counts.one())


async def organisations(tx: Tx, text: str | None, before: UUID | None, limit: int) -> list[OrganisationRow]:
    """Newest first."""
    found = _organisations().order_by(Organisation.id.desc()).limit(limit)
    if text:
        found = found.where(_says(text, Organisation.id, Organisation.name))
    if before is not None:
        found = found.where(Organisation.id < before)
    return [OrganisationRow(*row) for row in await tx.execute(found)]


async def organisation(tx: Tx, org: UUID) -> OrganisationDetail:
    row = (await tx.execute(_organisations().where(Organisation.id == org))).first()
    if row is None:
        raise NotFound("There is no such organisation.")
    fellows = select(Person.id, Person.email, Member.role, Member.joined_at).join(Member, Member.person_id == Person.id)
    members = await tx.execute(fellows.where(Member.org_id == org).order_by(Person.email))
    states = select(Job.state, func.count()).where(Job.org_id == org, Job.removed_at.is_(None)).group_by(Job.state)
    jobs = {state.value: count for state, count in (await tx.execute(states)).all()}
    keys, webhooks = (
        await tx.execute(
            select(_count(ApiKey.org_id == org, ApiKey.revoked_at.is_(None)), _count(Webhook.org_id == org))
        )
    ).one()
    return OrganisationDetail(OrganisationRow(*row), [MemberRow(*each) for each in members], jobs, keys, webhooks)


async def jobs(
    tx: Tx, text: str | None, org: UUID | None, state: JobState | None, before: UUID | None, limit: int
) -> list[JobRow]:
    """Newest first, removed ones too."""
    found = _jobs().order_by(Job.id.desc()).limit(limit)
    for column, value in ((Job.org_id, org), (Job.state, state)):
        if value is not None:
            found = found.where(column == value)
    if before is not None:
        found = found.where(Job.id < before)
    if text:
        found = found.where(_is_job(text))
    return [_job(*row) for row in await tx.execute(found)]


async def job(tx: Tx, job_id: UUID) -> JobRow:
    row = (await tx.execute(_jobs().where(Job.id == job_id))).first()
    if row is None:
        raise NotFound("There is no such job.")
    return _job(*row)


async def everything(tx: Tx, text: str, *, with_people: bool) -> Found:
    agents = select(Agent.id, Agent.name, Agent.pool, Agent.state).where(_says(text, Agent.id, Agent.name))
    return Found(
        await people(tx, text, None, FOUND_MAX) if with_people else [],
        await organisations(tx, text, None, FOUND_MAX),
        await jobs(tx, text, None, None, None, FOUND_MAX),
        [AgentFound(*row) for row in await tx.execute(agents.order_by(Agent.id.desc()).limit(FOUND_MAX))],
    )


def _people() -> Select[*tuple[Any, ...]]:
    seen = select(func.max(Session.seen_at)).where(Session.person_id == Person.id).scalar_subquery()
    return select(
        Person.id,
        Person.email,
        Person.platform_role,
        _count(Member.person_id == Person.id),
        Person.email_verified_at,
        seen,
        Person.created_at,
        Person.deleted_at,
        Person.suspended_at,
        Person.suspended_for,
    )


def _organisations() -> Select[
    UUID, str, int, int, int, dt.datetime, dt.datetime | None, dt.datetime | None, str | None
]:
    stored = select(func.coalesce(func.sum(Transfer.stored_bytes), 0)).where(Transfer.scope_id == Organisation.id)
    return select(
        Organisation.id,
        Organisation.name,
        _count(Member.org_id == Organisation.id),
        _count(Job.org_id == Organisation.id, Job.removed_at.is_(None)),
        cast(stored.scalar_subquery(), BigInteger),  # of bigints the sum is numeric, which JSON would have as a text
        Organisation.created_at,
        Organisation.deleted_at,
        Organisation.suspended_at,
        Organisation.suspended_for,
    )


def _jobs() -> Select[Job, Transfer, Torrent]:
    return (
        select(Job, Transfer, Torrent)
        .join(Transfer, Transfer.id == Job.transfer_id)
        .join(Torrent, Torrent.id == Job.torrent_id)
    )


def _job(job: Job, transfer: Transfer, torrent: Torrent) -> JobRow:
    return JobRow(
        id=job.id,
        organisation=job.org_id,
        person=job.person_id,
        name=job.name,
        state=job.state,
        v1=torrent.v1.hex() if torrent.v1 else None,
        v2=torrent.v2.hex() if torrent.v2 else None,
        size_bytes=transfer.size_bytes,
        stored_bytes=transfer.stored_bytes,
        transfer=transfer.id,
        agent=transfer.agent_id,
        tries=transfer.tries,
        failure=job.failure_code or transfer.failure_code,
        created_at=job.created_at,
        updated_at=job.updated_at,
        ended_at=job.ended_at,
        removed_at=job.removed_at,
    )


def _is_job(text: str) -> ColumnElement[bool]:
    """An id, an info-hash, or words of a name."""
    if (known := _id(text)) is not None:
        return or_(Job.id == known, Job.transfer_id == known, Job.torrent_id == known)
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if digest and (column := HASH_CHARS.get(len(text))) is not None:
        return Job.torrent_id.in_(select(Torrent.id).where(column == digest))
    newest = select(Job.id).order_by(Job.id.desc()).limit(LOOKED_MAX)
    return and_(Job.id.in_(newest), Job.name.icontains(text, autoescape=True))


def _says(text: str, key: InstrumentedAttribute[UUID], *columns: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    if (known := _id(text)) is not None:
        return key == known
    return or_(*(column.icontains(text, autoescape=True) for column in columns))


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _count(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).where(*where).scalar_subquery()

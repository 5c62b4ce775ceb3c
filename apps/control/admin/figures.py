"""Figures of the whole platform: each is counted when somebody asks, none is guessed or kept."""

import datetime as dt
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select

from control.accounts.model import Organisation, Person, Session
from control.audit.model import Entry, Severity, Unsealed
from control.db import Tx
from control.fleet import service as fleet
from control.jobs.model import Job, holds_data
from control.mail.model import Mail, MailState
from control.outbox import Message
from control.transfers.model import Object, Part, Tombstone, Transfer
from control.webhooks.model import Call, CallState, Webhook
from wire.states import TRANSFER_ENDED, AgentState, JobState, TransferState
from wire.units import DAY_S
from wire.version import VERSION

LARGEST = 20


class LastDay(Struct, frozen=True):
    """Of the last 24 hours."""

    people_registered: int
    people_seen: int
    jobs_added: int
    jobs_completed: int
    jobs_failed: int
    stored_bytes: int
    security_events: int
    """Of severity `warning` and `critical`."""


class Waiting(Struct, frozen=True):
    """What nobody has got to yet."""

    transfers: int
    oldest_transfer_s: float | None
    messages: int
    """In the outbox, for the bus."""
    mails: int
    webhook_calls: int
    unsealed: int
    """Rows of the log of audit."""


class Attention(Struct, frozen=True):
    """What a human should look at."""

    dead_letters: int
    agents_lost: int
    agents_outdated: int
    certificates_ending: int
    """Of agents: within a week."""
    mails_failed: int
    """In the last month."""
    webhooks_failing: int


class Overview(Struct, frozen=True):
    at: dt.datetime
    people: int
    organisations: int
    jobs: dict[str, int]
    """On somebody's list, by state."""
    transfers: dict[str, int]
    """Not over, by state."""
    agents: dict[str, int]
    slots: int
    """Of agents that take work."""
    slots_taken: int
    stored_bytes: int
    last_day: LastDay
    waiting: Waiting
    attention: Attention


class OrganisationStorage(Struct, frozen=True):
    organisation: UUID
    name: str | None
    objects: int
    bytes: int


class Storage(Struct, frozen=True):
    at: dt.datetime
    objects: int
    bytes: int
    """Of whole objects that rows name."""
    uploads: int
    """That are open."""
    uploads_bytes: int
    """Of their parts that are stored."""
    kept_bytes: int
    """Of jobs that were removed with their data left."""
    tombstones: int
    """Prefixes that are being emptied."""
    largest: list[OrganisationStorage]
    """Who has most."""


_STORED = Object.stored_at.is_not(None)


async def overview(tx: Tx, now: dt.datetime) -> Overview:
    """`tx` sees every organisation."""
    agents = [row for row in await fleet.listed(tx) if row.agent.retired_at is None]
    ready = [row for row in agents if row.agent.state is AgentState.READY]
    return Overview(
        at=now,
        people=await _count(tx, Person.deleted_at.is_(None)),
        organisations=await _count(tx, Organisation.deleted_at.is_(None)),
        jobs=await _by(tx, Job.state, Job.removed_at.is_(None)),
        transfers=await _by(tx, Transfer.state, Transfer.state.not_in(TRANSFER_ENDED)),
        agents={state.value: sum(row.agent.state is state for row in agents) for state in AgentState},
        slots=sum(row.agent.slots for row in ready),
        slots_taken=sum(row.running for row in ready),
        stored_bytes=await _number(tx, select(func.sum(Object.size_bytes)).where(_STORED)),
        last_day=await _last_day(tx, now - dt.timedelta(seconds=DAY_S)),
        waiting=await _waiting(tx, now),
        attention=await _attention(tx, agents, now),
    )


async def _last_day(tx: Tx, since: dt.datetime) -> LastDay:
    loud = Entry.severity.in_((Severity.WARNING, Severity.CRITICAL))
    return LastDay(
        people_registered=await _count(tx, Person.created_at >= since),
        people_seen=await _number(tx, select(func.count(Session.person_id.distinct())).where(Session.seen_at >= since)),
        jobs_added=await _count(tx, Job.created_at >= since),
        jobs_completed=await _count(tx, Job.state == JobState.COMPLETED, Job.ended_at >= since),
        jobs_failed=await _count(tx, Job.state == JobState.FAILED, Job.ended_at >= since),
        stored_bytes=await _number(tx, select(func.sum(Object.size_bytes)).where(Object.stored_at >= since)),
        security_events=await _count(tx, loud, Entry.at >= since),
    )


async def _waiting(tx: Tx, now: dt.datetime) -> Waiting:
    waits = Transfer.state.in_((TransferState.WAITING, TransferState.OFFERED))
    oldest = await tx.scalar(select(func.min(Transfer.moved_at)).where(waits))
    return Waiting(
        transfers=await _count(tx, waits),
        oldest_transfer_s=(now - oldest).total_seconds() if oldest else None,
        messages=await _number(tx, select(func.count()).select_from(Message)),
        mails=await _count(tx, Mail.state == MailState.QUEUED),
        webhook_calls=await _count(tx, Call.state == CallState.QUEUED),
        unsealed=await _number(tx, select(func.count()).select_from(Unsealed)),
    )


async def _attention(tx: Tx, agents: list[fleet.AgentRow], now: dt.datetime) -> Attention:
    soon = now + dt.timedelta(days=7)
    return Attention(
        dead_letters=await _count(tx, Transfer.dead_at.is_not(None)),
        agents_lost=sum(row.agent.state is AgentState.LOST for row in agents),
        agents_outdated=sum(row.agent.version != VERSION for row in agents),
        certificates_ending=sum(row.agent.certificate_until < soon for row in agents),
        mails_failed=await _count(tx, Mail.state == MailState.FAILED),
        webhooks_failing=await _count(tx, Webhook.failing_since.is_not(None), Webhook.disabled_at.is_(None)),
    )


async def storage(tx: Tx, now: dt.datetime) -> Storage:
    """`tx` sees every organisation. What the store itself has beside is found by its sweeps."""
    objects = select(func.count(), func.coalesce(func.sum(Object.size_bytes), 0)).where(_STORED)
    count, size = (await tx.execute(objects)).one()
    parts = (
        select(func.sum(Part.size_bytes))
        .join(Object, (Object.transfer_id == Part.transfer_id) & (Object.file == Part.file))
        .where(~_STORED)
    )
    kept = select(Job.transfer_id).where(Job.removed_at.is_not(None), holds_data())
    return Storage(
        at=now,
        objects=count,
        bytes=int(size),
        uploads=await _count(tx, ~_STORED),
        uploads_bytes=await _number(tx, parts),
        kept_bytes=await _number(tx, select(func.sum(Transfer.stored_bytes)).where(Transfer.id.in_(kept))),
        tombstones=await _number(tx, select(func.count()).select_from(Tombstone)),
        largest=await _largest(tx),
    )


async def _largest(tx: Tx) -> list[OrganisationStorage]:
    size = func.sum(Object.size_bytes)
    rows = await tx.execute(
        select(Object.scope_id, Organisation.name, func.count(), size)
        .outerjoin(Organisation, Organisation.id == Object.scope_id)
        .where(_STORED)
        .group_by(Object.scope_id, Organisation.name)
        .order_by(size.desc())
        .limit(LARGEST)
    )
    return [OrganisationStorage(scope, name, count, int(total)) for scope, name, count, total in rows.all()]


async def _count(tx: Tx, *where: ColumnElement[bool]) -> int:
    return await _number(tx, select(func.count()).where(*where))


async def _number(tx: Tx, query: Select[Any]) -> int:
    return int(await tx.scalar(query) or 0)


async def _by(tx: Tx, state: Any, *where: ColumnElement[bool]) -> dict[str, int]:
    rows = await tx.execute(select(state, func.count()).where(*where).group_by(state))
    return {each.value: count for each, count in rows.all()}

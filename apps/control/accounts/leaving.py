"""Leaving: an account goes for good, with the organisations that nobody else is in; what others share stays theirs.

    proved ──► nobody left without an owner? ──► own organisations' jobs removed ──► the account, in one transaction
Interrupted on the way, it is asked for again and finds less to do.
"""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select, update

from control.accounts import sessions, vouchers
from control.accounts.model import ApiKey, Identity, Member, Organisation, Passkey, Person, RecoveryCode, Totp
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict
from control.jobs import service as jobs
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import OrgId, PersonId
from wire.states import JobAction, job_actions

OWNER = "owner"
JOBS_AT_ONCE = 50
"""Of one transaction: each locks a transfer that loops want too."""
NAMELESS = "deleted"


class Places(Struct, frozen=True):
    alone: list[OrgId]
    shared: list[OrgId]


async def leave(plane: Plane, asker: Asker, confirm: str, actor: Actor, now: dt.datetime) -> set[UUID]:
    """Of who has proved to be who he is. Gives the agents that should hear of it."""
    assert asker.person is not None
    person = asker.person
    async with plane.asking(asker) as tx:
        email = (await tx.scalars(select(Person.email).where(Person.id == person))).one()
    if confirm.strip().lower() != email:
        raise BadInput("Type your e-mail address to confirm that the account shall go.", code="not_confirmed")
    async with plane.asking(asker) as tx:
        places = await _places(tx, person)
    agents: set[UUID] = set()
    for org in places.alone:
        while await _empty(plane, person, org, agents, actor, now):
            pass
    async with plane.asking(asker) as tx:
        await sessions.hold(tx, person)
        for org in (await _places(tx, person)).alone:
            await name_asker(tx, Asker(person=person, org=org))
            await tx.execute(update(Organisation).where(Organisation.id == org).values(name=NAMELESS))
            await audit.record(tx, _in(actor, org), "organisation.deleted", f"organisation:{org}", now)
        await _forget(tx, plane, person, email, actor, now)
    return agents


async def _places(tx: Tx, person: PersonId) -> Places:
    """Refuses if somebody would be left without an owner."""
    found = Places([], [])
    await name_asker(tx, Asker(person=person))
    for org, name in (
        await tx.execute(
            select(Organisation.id, Organisation.name)
            .join(Member, Member.org_id == Organisation.id)
            .where(Member.person_id == person)
            .order_by(Organisation.id)
            .with_for_update(of=Organisation)
        )
    ).all():
        await name_asker(tx, Asker(person=person, org=OrgId(org)))
        others = (await tx.scalars(select(Member.role).where(Member.org_id == org, Member.person_id != person))).all()
        if others and OWNER not in others:
            raise Conflict(f"{name} would be left without an owner: make somebody else one first.", code="last_owner")
        (found.shared if others else found.alone).append(OrgId(org))
    return found


async def _empty(plane: Plane, person: PersonId, org: OrgId, agents: set[UUID], actor: Actor, now: dt.datetime) -> bool:
    """Whether there may be more."""
    async with plane.asking(Asker(person=person, org=org)) as tx:
        some = await jobs.listed(tx, org, (), None, JOBS_AT_ONCE)
        for whole in some:
            if JobAction.CANCEL in job_actions(whole.job.state):
                cancelled = await jobs.cancel(tx, org, whole.job.id, _in(actor, org), now)
                agents |= {cancelled.agent} if cancelled.agent else set()
            await jobs.remove(tx, org, whole.job.id, _in(actor, org), now)
    return len(some) == JOBS_AT_ONCE


async def _forget(tx: Tx, plane: Plane, person: PersonId, email: str, actor: Actor, now: dt.datetime) -> None:
    """The row stays, for what others' jobs and the log hang on; who it was goes."""
    mine = select(Member.org_id).where(Member.person_id == person)
    await name_asker(tx, Asker(person=person))
    for org in (await tx.scalars(mine)).all():
        await name_asker(tx, Asker(person=person, org=OrgId(org)))
        keys = update(ApiKey).where(ApiKey.person_id == person, ApiKey.revoked_at.is_(None))
        await tx.execute(keys.values(revoked_at=now))
        await tx.execute(delete(Member).where(Member.org_id == org, Member.person_id == person))
    await name_asker(tx, Asker(person=person))
    for table in (Totp, RecoveryCode, Passkey, Identity):
        await tx.execute(delete(table).where(table.person_id == person))
    actor = _in(actor, None)
    await vouchers.void(tx, person, now)
    await sessions.end_all(tx, person, actor, now)
    told = letters.notice("Your account was deleted, with everything that was yours alone.")
    await mails.queue(tx, plane.settings.vault, email, told, person, now)
    gone = {
        "email": f"{person}@deleted.invalid", "password_hash": None, "email_verified_at": None, "deleted_at": now,
        "platform_role": "user",
    }  # fmt: skip
    await tx.execute(update(Person).where(Person.id == person).values(gone))
    await audit.record(tx, actor, "person.deleted", f"person:{person}", now)


def _in(actor: Actor, org: OrgId | None) -> Actor:
    return Actor(name=actor.name, org=org, request_id=actor.request_id, ip=actor.ip)

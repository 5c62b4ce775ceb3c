"""Verbs on what is others': end a job, sign somebody out. Each has a reason, which stands in the log of whom it is done
to: nothing is done behind an organisation's back."""

import datetime as dt
from uuid import UUID

from sqlalchemy import select, update

from control.accounts import sessions
from control.accounts.known import Known
from control.accounts.model import ApiKey, Person
from control.accounts.permissions import Permission, PlatformRole, may_give
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Tx
from control.errors import Denied, NotFound
from control.jobs import steer
from control.jobs.model import Job
from control.jobs.steer import Steered
from control.mail import letters
from control.mail import service as mails
from control.vault import Vault
from wire.ids import OrgId, PersonId


async def terminate(tx: Tx, job_id: UUID, reason: str, actor: Actor, now: dt.datetime) -> Steered:
    """Cancelled, as its organisation could have. `tx` sees every organisation."""
    org = await tx.scalar(select(Job.org_id).where(Job.id == job_id, Job.removed_at.is_(None)))
    if org is None:
        raise NotFound("There is no such job.")
    theirs = actor.within(org)
    done = await steer.cancel(tx, OrgId(org), job_id, theirs, now)
    await audit.record_as(tx, Severity.NOTICE, theirs, "job.terminated", f"job:{job_id}", now, reason=reason)
    return done


async def sign_out(
    tx: Tx, vault: Vault, who: Known, person_id: UUID, reason: str, actor: Actor, now: dt.datetime, *, keys: bool
) -> int:
    """Everywhere: how many sessions there were. With `keys` programs of theirs stop working too."""
    person = await tx.scalar(select(Person).where(Person.id == person_id).with_for_update(key_share=True))
    if person is None or person.deleted_at is not None:
        raise NotFound("There is no such person.")
    if not may_give(who.platform_role, PlatformRole.USER, person.platform_role):
        raise Denied(Permission.PEOPLE_WRITE, f"they are {person.platform_role}, which is above you.")
    ended = await sessions.end_all(tx, PersonId(person_id), actor.within(None), now)
    revoked = 0
    if keys:
        good = update(ApiKey).where(ApiKey.person_id == person_id, ApiKey.revoked_at.is_(None))
        revoked = len((await tx.scalars(good.values(revoked_at=now).returning(ApiKey.id))).all())
    told = {"reason": reason, "sessions": ended, "keys": revoked}
    target = f"person:{person_id}"
    await audit.record_as(tx, Severity.NOTICE, actor.within(None), "person.signed_out", target, now, **told)
    what = f"An operator of Seedlift signed you out everywhere: {reason}"
    await mails.queue(tx, vault, person.email, letters.notice(what), person_id, now)
    return ended

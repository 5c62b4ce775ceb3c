"""Verbs on the terms of use: publish a version, read one, accept one. What was published stays as it was."""

import datetime as dt
import hashlib

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import undefer

from control.accounts.known import terms_at
from control.accounts.model import Acceptance, Person, Terms
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from wire.ids import PersonId
from wire.units import KIB, MINUTE_S

CHARS_MIN, CHARS_MAX = 200, 256 * KIB
"""A word that was sent by mistake would keep everybody out; a book nobody reads."""
WAITED_S = MINUTE_S
"""Of two who publish at once the second waits for the first, and its `now` is older by that."""
LISTED_MAX = 500
VERSION_MAX = 2**31 - 1
LOCK = 7_305_110_800
"""Versions are numbered by one at a time."""


async def publish(
    tx: Tx, said: str, effective_at: dt.datetime | None, person: PersonId, reason: str, actor: Actor, now: dt.datetime
) -> Terms:
    """`tx` sees every organisation. Who publishes them has accepted them."""
    if not CHARS_MIN <= len(said) <= CHARS_MAX:
        raise BadInput(f"Terms have {CHARS_MIN} to {CHARS_MAX:,} characters.", code="bad_terms")
    await tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    last = await tx.scalar(select(Terms).order_by(Terms.version.desc()).limit(1))
    version = last.version if last is not None else 0
    effective = max(effective_at or now, now)
    if last is not None and effective < last.effective_at - dt.timedelta(seconds=WAITED_S):
        raise Conflict(f"Version {version} begins at {last.effective_at.isoformat()}: not earlier.", code="too_early")
    if last is not None:
        effective = max(effective, last.effective_at)
    new = Terms(
        version=version + 1, text=said, published_by=actor.name, published_at=now, effective_at=effective
    )  # fmt: skip
    tx.add(new)
    await tx.flush()
    digest = hashlib.sha256(said.encode()).hexdigest()
    detail = {"effective_at": effective.isoformat(), "sha256": digest, "reason": reason}
    await audit.record_as(tx, Severity.NOTICE, actor, "terms.published", f"terms:{new.version}", now, **detail)
    await accept(tx, person, new.version, actor, now)
    return new


async def accept(tx: Tx, person: PersonId, version: int, actor: Actor, now: dt.datetime) -> None:
    """Twice is once. One that is to come may be accepted before it is in force; one that is over may not."""
    await check(tx, version, now)
    row = {"person_id": person, "version": version, "accepted_at": now, "ip": actor.ip}
    first = await tx.scalar(
        insert(Acceptance).values(row).on_conflict_do_nothing().returning(Acceptance.version)
    )  # fmt: skip
    if first is None:
        return
    newest = func.greatest(Person.accepted_terms, version)  # nothing is greater than a null
    await tx.execute(update(Person).where(Person.id == person).values(accepted_terms=newest))
    await audit.record(tx, actor, "terms.accepted", f"terms:{version}", now)


async def check(tx: Tx, version: int, now: dt.datetime) -> None:
    current = await tx.scalar(select(terms_at(now)))
    if version < (current or 0):
        raise Conflict(f"Version {version} is over: read version {current}.", code="terms_outdated")
    if await tx.scalar(select(Terms.version).where(Terms.version == version)) is None:
        raise NotFound("There is no such version of the terms.")


async def listed(tx: Tx) -> list[Terms]:
    """Newest first, without their texts."""
    return list(await tx.scalars(select(Terms).order_by(Terms.version.desc()).limit(LISTED_MAX)))


async def read(tx: Tx, version: int) -> Terms:
    one = select(Terms).where(Terms.version == version).options(undefer(Terms.text))
    found = await tx.scalar(one) if 0 < version <= VERSION_MAX else None
    if found is None:
        raise NotFound("There is no such version of the terms.")
    return found


async def in_force(tx: Tx, now: dt.datetime) -> int | None:
    return await tx.scalar(select(terms_at(now)))

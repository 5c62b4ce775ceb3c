"""Verbs on platform roles: who has one, and giving one. Nobody changes his own, so that somebody is left at the top."""

import datetime as dt

from sqlalchemy import ColumnElement, select

from control.accounts.known import Known
from control.accounts.model import Person
from control.accounts.permissions import ON_PLATFORM, Permission, PlatformRole, may_give
from control.accounts.service import clean_email
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import Denied, NotFound

LISTED_MAX = 500
"""More people with a say over everybody would be a fault of its own."""


async def listed(tx: Tx) -> list[Person]:
    """`tx` sees every organisation."""
    found = select(Person).where(Person.platform_role != PlatformRole.USER).order_by(Person.email)
    return list(await tx.scalars(found.limit(LISTED_MAX)))


async def give(
    tx: Tx, who: Known, email: str, role: PlatformRole, reason: str, actor: Actor, now: dt.datetime
) -> Person:
    mine, other = await both(tx, who, Person.email == clean_email(email))
    if mine not in ON_PLATFORM[Permission.ROLES_WRITE]:
        raise Denied(Permission.ROLES_WRITE, "you do not have it any more.")
    if other is None:
        raise NotFound("There is no such person; your own role is for others to change.")
    if not may_give(mine, role, other.platform_role):
        raise Denied(Permission.ROLES_WRITE, f"as {mine} you do not give or take a higher role.")
    before, other.platform_role = other.platform_role, role
    told = {"before": before, "after": role, "reason": reason}
    await audit.record(tx, actor, "person.role_given", f"person:{other.id}", now, **told)
    await tx.flush()
    return other


async def both(tx: Tx, who: Known, other: ColumnElement[bool]) -> tuple[PlatformRole, Person | None]:
    """My role as it is now, and somebody else. Both rows are held, in one order: of two who take their roles from each
    other at once, the second has it no more."""
    rows = select(Person).where(other | (Person.id == who.person)).order_by(Person.id)
    held = list(await tx.scalars(rows.with_for_update(key_share=True).execution_options(populate_existing=True)))
    mine = next((each.platform_role for each in held if each.id == who.person), PlatformRole.USER)
    return mine, next((each for each in held if each.id != who.person), None)

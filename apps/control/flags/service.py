"""Flags: what may be switched off for everybody while something is repaired. All are on until somebody says otherwise.

Whoever minds one asks the table each time, so that a switch holds everywhere at once.
"""

import datetime as dt
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from control.audit import service as audit
from control.audit.model import Entry, Severity
from control.audit.service import Actor
from control.db import Tx
from control.errors import Unavailable
from control.flags.model import FlagRow
from control.plane import Plane

CLOSED_S = 60
"""What a program should wait before it asks again."""
HISTORY_MAX = 100


class Flag(StrEnum):
    REGISTRATION = "registration"
    DISPATCH = "dispatch"
    WEBHOOKS = "webhooks"


DOES = {
    Flag.REGISTRATION: "People can make accounts. Whoever has one signs in either way.",
    Flag.DISPATCH: "What waits is offered to agents. What is on one goes on either way.",
    Flag.WEBHOOKS: "Webhooks are told what happens. While it is off it is written down, and told later.",
}


async def switched(tx: Tx) -> dict[Flag, FlagRow]:
    """Those that ever were."""
    rows = await tx.scalars(select(FlagRow).where(FlagRow.name.in_(list(Flag))))
    return {Flag(row.name): row for row in rows}


async def is_on(tx: Tx, flag: Flag) -> bool:
    return await tx.scalar(select(FlagRow.on).where(FlagRow.name == flag)) is not False


async def check_registration(plane: Plane) -> None:
    async with plane.working() as tx:
        if not await is_on(tx, Flag.REGISTRATION):
            raise Unavailable("No accounts can be made for now.", code="switched_off", retry_after_s=CLOSED_S)


async def switch(tx: Tx, flag: Flag, *, on: bool, reason: str, actor: Actor, now: dt.datetime) -> FlagRow:
    """Safe to repeat: what is so already is not written anew."""
    row = {"name": flag, "on": on, "reason": reason, "changed_by": actor.name, "changed_at": now}
    new = insert(FlagRow).values(row)
    changed = new.on_conflict_do_update(index_elements=["name"], set_=row, where=FlagRow.on.is_distinct_from(on))
    made = await tx.scalar(changed.returning(FlagRow).execution_options(populate_existing=True))
    if made is None:
        return (await tx.scalars(select(FlagRow).where(FlagRow.name == flag))).one()
    await audit.record_as(tx, Severity.NOTICE, actor, "flag.switched", f"flag:{flag}", now, on=on, reason=reason)
    return made


async def history(tx: Tx, flag: Flag) -> list[Entry]:
    """Newest first: the log's own rows."""
    found = select(Entry).where(Entry.target == f"flag:{flag}").order_by(Entry.at.desc(), Entry.id.desc())
    return list(await tx.scalars(found.limit(HISTORY_MAX)))

"""Writing the log: one row for each mutation, in the mutation's own transaction."""

import datetime as dt
from typing import Any
from uuid import UUID

from msgspec import Struct, structs
from sqlalchemy import insert

from control.audit.model import Entry, Severity
from control.db import Tx


class Actor(Struct, frozen=True, kw_only=True):
    """Who does it, and from where: `person:<id>`, `key:<id>`, `agent:<id>`, `loop:<name>` or `bootstrap`."""

    name: str
    org: UUID | None = None
    request_id: str | None = None
    ip: str | None = None

    def within(self, org: UUID | None) -> "Actor":
        return structs.replace(self, org=org)


_SAID = ("at", "org_id", "actor", "action", "target", "request_id", "ip", "severity", "detail")


async def record(tx: Tx, actor: Actor, action: str, target: str, now: dt.datetime, **detail: Any) -> None:
    """What was there before and is not any more belongs into the detail, as `before`; never a secret."""
    await record_as(tx, Severity.INFO, actor, action, target, now, **detail)


async def record_as(
    tx: Tx, severity: Severity, actor: Actor, action: str, target: str, now: dt.datetime, **detail: Any
) -> None:
    await write(tx, entry(severity, actor, action, target, now, detail))


async def write(tx: Tx, row: Entry) -> None:
    """Without RETURNING: the api's role may write rows that it may not read."""
    await tx.execute(insert(Entry).values({key: getattr(row, key) for key in _SAID}).inline())


def entry(
    severity: Severity, actor: Actor, action: str, target: str, now: dt.datetime, detail: dict[str, Any]
) -> Entry:
    return Entry(
        at=now,
        org_id=actor.org,
        actor=actor.name,
        action=action,
        target=target,
        request_id=actor.request_id,
        ip=actor.ip,
        severity=severity,
        detail=detail,
    )

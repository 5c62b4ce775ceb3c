"""Export: every row about one person, as JSON. Without what is secret: hashes, and what is in the vault."""

import datetime as dt
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, LargeBinary, Table, select
from sqlalchemy.orm import DeclarativeBase

from control.accounts.model import (
    Acceptance,
    ApiKey,
    Identity,
    Invitation,
    Member,
    Passkey,
    Person,
    RecoveryCode,
    Session,
    Totp,
    Voucher,
)
from control.audit import service as audit
from control.audit.model import Entry
from control.audit.service import Actor
from control.db import Tx
from control.jobs.model import Job
from control.mail.model import Mail
from wire.ids import PersonId

ROWS_MAX = 10_000
"""Of one table, the newest: more would not fit one answer; `cut` says where there are more."""
SECRET = frozenset({"password_hash", "detail"})
"""Beside all that is bytes."""


class Export(Struct, frozen=True):
    made_at: dt.datetime
    rows: dict[str, list[dict[str, Any]]]
    """By table; columns as they are."""
    cut: list[str]


async def export(tx: Tx, person: PersonId, actor: Actor, now: dt.datetime) -> Export:
    """`tx` sees every organisation: also those that the person has left."""
    about: list[tuple[type[DeclarativeBase], ColumnElement[bool]]] = [
        (Person, Person.id == person),
        *((table, table.person_id == person) for table in (Member, Session, ApiKey, Totp, RecoveryCode, Passkey)),
        *((table, table.person_id == person) for table in (Identity, Acceptance, Voucher, Mail, Job)),
        (Invitation, Invitation.invited_by == person),
        (Entry, Entry.actor == f"person:{person}"),
    ]
    rows, cut = {}, []
    for model, mine in about:
        table = model.__table__
        assert isinstance(table, Table)
        columns = [c for c in table.c if not isinstance(c.type, LargeBinary) and c.name not in SECRET]
        newest = select(*columns).where(mine).order_by(*(c.desc() for c in table.primary_key)).limit(ROWS_MAX)
        rows[table.name] = [dict(row) for row in (await tx.execute(newest)).mappings()]
        if len(rows[table.name]) == ROWS_MAX:
            cut.append(table.name)
    await audit.record(tx, actor, "person.exported", f"person:{person}", now)
    return Export(now, rows, cut)

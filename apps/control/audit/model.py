"""Tables of the append-only log: its rows, their seals, and what waits for one; triggers refuse change and removal."""

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    """Never: it is what people do."""
    NOTICE = "notice"
    """When something else looks odd."""
    WARNING = "warning"
    """Once a day: somebody may be trying something."""
    CRITICAL = "critical"
    """Now."""


class Entry(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[dt.datetime]
    org_id: Mapped[uuid.UUID | None]
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    request_id: Mapped[str | None]
    ip: Mapped[str | None]
    severity: Mapped[Severity] = mapped_column(States(Severity), default=Severity.INFO)
    detail: Mapped[dict[str, Any]]


class Seal(Base):
    """One row's place in the chain. Written by loop `seal` alone, and never again."""

    __tablename__ = "audit_seals"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, without a gap."""
    entry_id: Mapped[int]
    sealed_at: Mapped[dt.datetime]
    row_hash: Mapped[bytes]
    """Of the row alone: so a changed row is told from a changed seal."""
    previous: Mapped[bytes]
    hash: Mapped[bytes]


class Unsealed(Base):
    """A row that waits for its seal; written by a trigger in the row's own transaction, removed by loop `seal`."""

    __tablename__ = "audit_unsealed"

    entry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)

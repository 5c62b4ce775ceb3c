"""Tables of webhooks, and of the calls by which they are told.

    queued ─┬─► delivered
            └─► failed (in all tries, or because its webhook was disabled) ── replayed ──► queued

Members own what a webhook is and whether it is disabled by hand. Loop `calls` owns how it fares (`failures`,
`failing_since`, `not_before`), and disables it when that goes on for long; it owns a call's outcome.
"""

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States


class CallState(StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"


class Disabled(StrEnum):
    """Why a webhook is told nothing."""

    BY_HAND = "by_hand"
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """Every try has failed for days."""


class Webhook(Base):
    __tablename__ = "webhooks"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    url: Mapped[str]
    description: Mapped[str]
    types: Mapped[list[str]]
    """What it wants to be told; none: everything."""
    secret: Mapped[bytes]
    """In the vault, as the one before it."""
    previous_secret: Mapped[bytes | None]
    previous_until: Mapped[dt.datetime | None]
    """Until then calls are signed with both."""
    created_at: Mapped[dt.datetime]
    disabled_at: Mapped[dt.datetime | None]
    disabled_why: Mapped[Disabled | None] = mapped_column(States(Disabled))
    failures: Mapped[int] = mapped_column(default=0)
    """Tries that failed since the last that did not."""
    failing_since: Mapped[dt.datetime | None]
    not_before: Mapped[dt.datetime | None]
    """A receiver in trouble is left alone until then, whatever waits for it."""


class Call(Base):
    __tablename__ = "webhook_calls"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """The message's id, too: the same in every try and replay."""
    org_id: Mapped[uuid.UUID]
    webhook_id: Mapped[uuid.UUID]
    seq: Mapped[int | None]
    """Of the feed; null for a test."""
    type: Mapped[str]
    body: Mapped[bytes]
    state: Mapped[CallState] = mapped_column(States(CallState))
    tries: Mapped[int]
    """Since it was written, or replayed."""
    not_before: Mapped[dt.datetime]
    taken_until: Mapped[dt.datetime | None]
    """Somebody is at it; whoever died has it no longer than this."""
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """How the last tries went, the newest last: `calls.Attempt`."""
    created_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]

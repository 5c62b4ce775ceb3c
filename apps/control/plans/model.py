"""Tables of plans, of each organisation's quota, of its traffic by month, and of what its members were warned of.

Admins write a plan, and of a quota `plan` and `own`; what is used is added up by triggers on `transfers`. Agents'
syncs and links write traffic, loop `warn` the warnings.
"""

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import Date
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States


class Plan(Base):
    __tablename__ = "plans"

    name: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int]
    """In lists; what comes later has more."""
    description: Mapped[str]
    is_listed: Mapped[bool]
    """Members see it, and are told when it has room."""
    is_default: Mapped[bool]
    """New organisations get it; one does."""
    active: Mapped[int]
    open_jobs: Mapped[int]
    storage_bytes: Mapped[int | None]
    file_bytes: Mapped[int | None]
    traffic_bytes: Mapped[int | None]
    kept_days: Mapped[int | None]
    sessions: Mapped[int]
    seeding: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class Quota(Base):
    """Made with the organisation, by a trigger."""

    __tablename__ = "quotas"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    plan: Mapped[str]
    own: Mapped[dict[str, Any]]
    """Limits that stand above the plan's."""
    kept_days: Mapped[int | None]
    """With which loop `expire` reckoned when its jobs expire."""
    reserved_bytes: Mapped[int]
    """Set aside for transfers that are under way."""
    stored_bytes: Mapped[int]


class TrafficKind(StrEnum):
    TRANSFER = "transfer"
    """Brought into the store."""
    DELIVERY = "delivery"
    """Fetched from it."""


class Traffic(Base):
    __tablename__ = "traffic"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    month: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    kind: Mapped[TrafficKind] = mapped_column(States(TrafficKind), primary_key=True)
    bytes: Mapped[int]


class Warned(Base):
    """The last warning of a limit; gone once less is used again."""

    __tablename__ = "quota_warnings"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    percent: Mapped[int]
    month: Mapped[dt.date] = mapped_column(Date)
    """Traffic begins anew with each."""
    at: Mapped[dt.datetime]

"""Tables of people: organisations, people, members, sessions, keys, and answers kept for repeated creates."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base


class Organisation(Base):
    __tablename__ = "organisations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[dt.datetime]


class Person(Base):
    __tablename__ = "people"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    password_hash: Mapped[str]
    platform_role: Mapped[str] = mapped_column(default="user")
    created_at: Mapped[dt.datetime]


class Member(Base):
    __tablename__ = "members"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(default="owner")
    joined_at: Mapped[dt.datetime]


class Session(Base):
    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID]
    token_hash: Mapped[bytes]
    user_agent: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    person_id: Mapped[uuid.UUID]
    name: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[bytes]
    networks: Mapped[list[str]] = mapped_column(default=list)
    """Where it was used from, the newest last."""
    created_at: Mapped[dt.datetime]
    last_used_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]


class Answer(Base):
    """What a create answered to an `Idempotency-Key`."""

    __tablename__ = "idempotency"

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    body_hash: Mapped[bytes]
    status: Mapped[int]
    answer: Mapped[bytes]
    created_at: Mapped[dt.datetime]

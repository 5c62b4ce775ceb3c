"""Tables of people: organisations, people, members, invitations, sessions, keys, and answers to repeated creates."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, mapped_column

from control.accounts.permissions import OrgRole, PlatformRole
from control.db import Base, States


class Organisation(Base):
    __tablename__ = "organisations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[dt.datetime]
    deleted_at: Mapped[dt.datetime | None]
    """Nobody is in it from then on; loop `close` ends what it had, and last of all the row."""


class Person(Base):
    __tablename__ = "people"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    password_hash: Mapped[str]
    platform_role: Mapped[PlatformRole] = mapped_column(States(PlatformRole), default=PlatformRole.USER)
    created_at: Mapped[dt.datetime]


class Member(Base):
    __tablename__ = "members"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[OrgRole] = mapped_column(States(OrgRole))
    joined_at: Mapped[dt.datetime]


class Fellow(Base):
    """A view: what members of an organisation see of one another's rows in `people`."""

    __tablename__ = "fellows"

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]


class Invitation(Base):
    __tablename__ = "invitations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    email: Mapped[str]
    role: Mapped[OrgRole] = mapped_column(States(OrgRole))
    token_hash: Mapped[bytes]
    invited_by: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    """Accepted or revoked."""


class Session(Base):
    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID]
    org_id: Mapped[uuid.UUID | None]
    """The organisation that it acts for; null once that is gone."""
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
    scopes: Mapped[list[str]]
    """Permissions and presets; it may no more than these, and no more than its person."""
    networks: Mapped[list[str]] = mapped_column(default=list)
    """Where it was used from, the newest last."""
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
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

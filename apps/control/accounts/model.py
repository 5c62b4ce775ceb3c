"""Tables of people: organisations, people, members, invitations, sessions, keys, second factors, answers to repeated
creates.

A request of the person, or of whoever shows the secret, owns every column.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy.orm import Mapped, deferred, mapped_column

from control.accounts.permissions import OrgRole, PlatformRole
from control.db import Base, States


class Organisation(Base):
    __tablename__ = "organisations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    down_max: Mapped[int] = mapped_column(default=0)
    """Bytes a second of all its transfers together, wherever they run; 0: no limit."""
    up_max: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[dt.datetime]
    deleted_at: Mapped[dt.datetime | None]
    """Nobody is in it from then on; loop `close` ends what it had, and last of all the row."""
    suspended_at: Mapped[dt.datetime | None]
    """Nothing can be done in it; admins own this, and the next."""
    suspended_for: Mapped[str | None]


class Person(Base):
    __tablename__ = "people"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    password_hash: Mapped[str | None]
    """None: signs in by other means only."""
    platform_role: Mapped[PlatformRole] = mapped_column(States(PlatformRole), default=PlatformRole.USER)
    created_at: Mapped[dt.datetime]
    email_verified_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None]
    """What others' jobs hang on stays, without a name."""
    suspended_at: Mapped[dt.datetime | None]
    """Gets in nowhere; admins own this, and the next."""
    suspended_for: Mapped[str | None]
    accepted_terms: Mapped[int | None]
    """The newest version that they accepted; each has a row in `acceptances`."""


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
    network: Mapped[str | None]
    """Where it was seen last, cut so that it names no household."""
    seen_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]


class Voucher(Base):
    """A secret that is good once and for a while: sent by mail, or held by a browser between two steps."""

    __tablename__ = "vouchers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    person_id: Mapped[uuid.UUID | None]
    token_hash: Mapped[bytes]
    detail: Mapped[dict[str, Any]]
    tries: Mapped[int]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]


class Totp(Base):
    """The authenticator app of one person; a second factor once it is confirmed."""

    __tablename__ = "totps"

    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    secret: Mapped[bytes]
    """In the vault."""
    last_step: Mapped[int]
    """A code of this step or before was used already."""
    created_at: Mapped[dt.datetime]
    confirmed_at: Mapped[dt.datetime | None]


class RecoveryCode(Base):
    __tablename__ = "recovery_codes"

    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    created_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]


class Passkey(Base):
    __tablename__ = "passkeys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID]
    credential_hash: Mapped[bytes]
    """By which a transaction may find it before it is known whose it is."""
    credential_id: Mapped[bytes]
    public_key: Mapped[bytes]
    sign_count: Mapped[int]
    name: Mapped[str]
    created_at: Mapped[dt.datetime]
    last_used_at: Mapped[dt.datetime | None]


class Identity(Base):
    """Who somebody is at another provider."""

    __tablename__ = "identities"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID]
    subject_hash: Mapped[bytes]
    provider: Mapped[str]
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str]
    created_at: Mapped[dt.datetime]
    last_used_at: Mapped[dt.datetime | None]


class Terms(Base):
    """One version of the terms of use; it stays as it was published."""

    __tablename__ = "terms"

    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = deferred(mapped_column())
    """Asked for by name."""
    published_by: Mapped[str]
    published_at: Mapped[dt.datetime]
    effective_at: Mapped[dt.datetime]


class Acceptance(Base):
    __tablename__ = "acceptances"

    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    accepted_at: Mapped[dt.datetime]
    ip: Mapped[str | None]


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


class Rate(Base):
    """How often somebody asked for something; `accounts.rates` owns it."""

    __tablename__ = "rates"

    key: Mapped[str] = mapped_column(primary_key=True)
    over_at: Mapped[float]
    """When nothing of it counts any more, in seconds since 1970."""

"""What the API takes and gives about people, sessions and keys."""

import datetime as dt
from uuid import UUID

from msgspec import Struct


class Register(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    name: str | None = None
    """Of the organisation that comes with the account."""


class LogIn(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str


class CreateKey(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class OrganisationView(Struct, frozen=True):
    id: UUID
    name: str


class Me(Struct, frozen=True):
    id: UUID
    email: str
    platform_role: str
    organisation: OrganisationView
    csrf_token: str | None
    """Send it back as X-CSRF-Token with every change; null where no cookie is involved."""


class KeyView(Struct, frozen=True):
    id: UUID
    name: str
    prefix: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class KeyCreated(Struct, frozen=True):
    id: UUID
    name: str
    prefix: str
    created_at: dt.datetime
    secret: str
    """The whole key. It is shown this once."""


class Keys(Struct, frozen=True):
    items: list[KeyView]


class TokenView(Struct, frozen=True):
    token: str
    token_type: str
    expires_at: dt.datetime

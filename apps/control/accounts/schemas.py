"""What the API takes and gives about people, sessions and keys."""

import datetime as dt
from uuid import UUID

from msgspec import Struct, field

from control.accounts.permissions import FULL, OrgRole, Permission, PlatformRole


class Register(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    name: str | None = None
    """Of the organisation that comes with the account."""
    terms: int | None = None
    """The version of the terms that is accepted with it; else that is asked for before anything works."""
    bot_check: str | None = None
    """Where `bot_check_needed` is answered: see GET /api/v1/auth/bot-check."""


class LogIn(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    bot_check: str | None = None
    """Where `bot_check_needed` is answered: see GET /api/v1/auth/bot-check."""


class CreateKey(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    scopes: list[str] = field(default_factory=lambda: [FULL])
    """Permissions, or `read-only` or `full`: whatever the person who makes it may, in this organisation."""
    days: int | None = None
    """How long it is good; null: until it is revoked."""


class AskToken(Struct, frozen=True, forbid_unknown_fields=True):
    scopes: list[str] | None = None
    """Of the key's; null: all of them."""


class OrganisationView(Struct, frozen=True):
    id: UUID
    name: str
    role: OrgRole
    """Of who asks."""


class Me(Struct, frozen=True):
    id: UUID
    email: str
    platform_role: PlatformRole
    organisation: OrganisationView | None
    """Which one is acted for; null: none, choose one."""
    permissions: list[Permission]
    """What this session, key or token may do now."""
    to_accept: int | None
    """The version of the terms that must be accepted first; null: none."""
    csrf_token: str | None
    """Send it back as X-CSRF-Token with every change; null where no cookie is involved."""


class KeyView(Struct, frozen=True):
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    person: UUID
    """Who made it; it ends with their membership."""
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    """To the minute."""


class KeyCreated(Struct, frozen=True):
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    secret: str
    """The whole key. It is shown this once."""


class Keys(Struct, frozen=True):
    items: list[KeyView]


class TokenView(Struct, frozen=True):
    token: str
    token_type: str
    scopes: list[str]
    expires_at: dt.datetime

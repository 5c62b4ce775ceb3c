"""What the API takes and gives where people look after their own accounts."""

import datetime as dt
from uuid import UUID

from msgspec import Struct


class Registered(Struct, frozen=True):
    email: str
    next: str
    """`confirm`: a link was sent, and signing in works once it was followed; `sign_in`: at once."""


class Address(Struct, frozen=True, forbid_unknown_fields=True):
    email: str


class AskForMail(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    bot_check: str | None = None
    """Where `bot_check_needed` is answered: see GET /api/v1/auth/bot-check."""


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class Reset(Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    password: str


class ChangePassword(Struct, frozen=True, forbid_unknown_fields=True):
    new: str
    password: str | None = None
    """The present one, if there is one."""


class ChangeEmail(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str | None = None


class Leave(Struct, frozen=True, forbid_unknown_fields=True):
    confirm: str
    """The account's e-mail address, typed."""
    password: str | None = None


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    password: str | None = None


class Code(Struct, frozen=True, forbid_unknown_fields=True):
    code: str


class ProvedCode(Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    password: str | None = None


class LogInCode(Struct, frozen=True, forbid_unknown_fields=True):
    pending: str
    code: str
    """Of the authenticator app, or a recovery code."""


class Pending(Struct, frozen=True):
    """The first step is done: send a code."""

    pending: str
    expires_at: dt.datetime


class SessionView(Struct, frozen=True):
    id: UUID
    device: str
    network: str | None
    """Cut to /24 or /48: it names no household."""
    created_at: dt.datetime
    seen_at: dt.datetime | None
    """To the minute."""
    expires_at: dt.datetime
    current: bool


class Sessions(Struct, frozen=True):
    items: list[SessionView]
    most: int
    """At once, by the best plan of my organisations: when another begins, the oldest end."""


class Ended(Struct, frozen=True):
    ended: int


class Offered(Struct, frozen=True):
    secret: str
    uri: str
    """For the QR code."""


class RecoveryCodes(Struct, frozen=True):
    recovery_codes: list[str]
    """Shown this once; each is good once."""


class SecondFactor(Struct, frozen=True):
    on_since: dt.datetime | None
    recovery_codes_left: int

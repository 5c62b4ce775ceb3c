"""What the API takes and gives about flags."""

import datetime as dt

from msgspec import Struct

from control.accounts.proof import Reason
from control.flags.service import Flag


class FlagView(Struct, frozen=True):
    name: Flag
    on: bool
    does: str
    reason: str | None
    """Why it was switched last; null: it never was."""
    changed_by: str | None
    changed_at: dt.datetime | None


class FlagViews(Struct, frozen=True):
    items: list[FlagView]


class SwitchFlag(Struct, frozen=True, forbid_unknown_fields=True):
    on: bool
    reason: Reason
    password: str | None = None
    """Once more; who has none signs in again first."""


class FlagChange(Struct, frozen=True):
    at: dt.datetime
    by: str
    on: bool
    reason: str


class FlagHistory(Struct, frozen=True):
    items: list[FlagChange]

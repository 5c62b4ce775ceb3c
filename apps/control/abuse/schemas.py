"""What the API takes and gives about takedown cases."""

import datetime as dt
from uuid import UUID

from msgspec import Struct

from control.abuse.states import CaseState, Decision


class Notice(Struct, frozen=True, forbid_unknown_fields=True):
    """Of whoever says that content here infringes a right; the law wants each of these fields."""

    name: str
    email: str
    on_behalf_of: str
    """Whose right it is."""
    work: str
    """What is infringed, and where the original can be seen."""
    torrents: list[str]
    """Info-hashes or magnets."""
    good_faith: bool
    """I believe in good faith that neither the owner, an agent nor the law allows this use."""
    accurate: bool
    """This is accurate, and, under penalty of perjury, I may act for the owner."""
    signature: str
    """The full name, typed."""
    bot_check: str | None = None
    """Where `bot_check_needed` is answered: see GET /api/v1/auth/bot-check."""


class CounterNotice(Struct, frozen=True, forbid_unknown_fields=True):
    """Of whoever says that the content was blocked by mistake."""

    name: str
    email: str
    statement: str
    good_faith: bool
    """Under penalty of perjury, I believe in good faith that this was blocked by mistake or misidentification."""
    consent: bool
    """I consent to the jurisdiction of the courts where I live, and to being served by whoever wrote the notice."""
    signature: str
    bot_check: str | None = None
    """Where `bot_check_needed` is answered: see GET /api/v1/auth/bot-check."""


class Received(Struct, frozen=True):
    case: UUID
    """To be quoted; a copy went to the address given."""


class Countered(Struct, frozen=True):
    name: str
    email: str
    statement: str
    signature: str
    at: dt.datetime


class CaseView(Struct, frozen=True):
    id: UUID
    state: CaseState
    decisions: list[Decision]
    """What may be decided now."""
    hashes: list[str]
    name: str
    email: str
    on_behalf_of: str
    work: str
    signature: str
    created_at: dt.datetime
    decided_by: str | None
    reason: str | None
    decided_at: dt.datetime | None
    counter: Countered | None


class CasePage(Struct, frozen=True):
    items: list[CaseView]
    next_cursor: str | None

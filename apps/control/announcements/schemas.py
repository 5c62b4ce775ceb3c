"""What the API takes and gives about announcements."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from control.announcements.model import Weight


class Announce(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=1000)]
    """Plain text."""
    weight: Weight = Weight.INFO
    from_at: dt.datetime | None = None
    """Null: from now on."""
    until_at: dt.datetime | None = None
    """Null: until it is taken back."""


class Told(Struct, frozen=True):
    id: UUID
    text: str
    weight: Weight
    from_at: dt.datetime
    until_at: dt.datetime | None


class AllTold(Struct, frozen=True):
    items: list[Told]


class AnnouncementView(Struct, frozen=True):
    told: Told
    made_by: str
    created_at: dt.datetime


class Announcements(Struct, frozen=True):
    items: list[AnnouncementView]

"""What the API and webhooks tell of one thing that happened."""

import datetime as dt
from uuid import UUID

from msgspec import Struct

from control.feed.model import EventType
from wire.states import JobState


class JobTold(Struct, frozen=True):
    """As it was then."""

    id: UUID
    name: str
    state: JobState
    version: int
    """Counts the job's changes; whoever has seen a higher one drops a lower."""
    from_state: JobState | None
    why: str | None
    """A code, as in its timeline; of a job that failed, why."""
    detail: str | None


class FileTold(Struct, frozen=True):
    index: int
    path: str
    size_bytes: int


class FeedEvent(Struct, frozen=True):
    id: int
    """Grows along the feed."""
    type: EventType
    at: dt.datetime
    job: JobTold
    file: FileTold | None
    """Of `file.` events."""


class FeedPage(Struct, frozen=True):
    items: list[FeedEvent]
    next_cursor: str
    """Where to go on, also if nothing was there: ask again with it later."""
    more: bool
    """There is more already."""

"""What operators' verbs take and give."""

import datetime as dt
from uuid import UUID

from msgspec import Struct


class AgentName(Struct, frozen=True):
    id: UUID
    name: str | None
    """Null when it is not known any more."""


class DeadLetterView(Struct, frozen=True):
    id: UUID
    """The transfer's."""
    org: UUID
    jobs: list[UUID]
    name: str | None
    code: str
    sentence: str
    detail: str | None
    tries: int
    agents: list[AgentName]
    """Who tried, the last one last."""
    size_bytes: int | None
    at: dt.datetime


class DeadLetterPage(Struct, frozen=True):
    items: list[DeadLetterView]
    next_cursor: str | None
    counts: dict[str, int]
    """Of all dead letters, by code."""


class Replay(Struct, frozen=True, forbid_unknown_fields=True):
    """Which: by id, or all that a filter leaves. Naming nothing means nothing, unless `everything` is said."""

    ids: list[UUID] | None = None
    code: str | None = None
    org: UUID | None = None
    everything: bool = False


class Skipped(Struct, frozen=True):
    id: UUID
    code: str
    """`not_dead`, `not_wanted`, or the limit that is in the way: `quota_spent`, `traffic_spent`, `file_too_large`."""


class Replayed(Struct, frozen=True):
    replayed: list[UUID]
    skipped: list[Skipped]
    left: int
    """Dead letters that the same filter names beside: ask again."""

"""What the API gives about jobs."""

import datetime as dt
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from wire.states import JobAction, JobState, Priority

Speed: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What libtorrent can reckon with."""


class ProgressView(Struct, frozen=True):
    down_bytes: int
    """Verified on an agent."""
    stored_bytes: int
    """In the store, for good."""
    total_bytes: int | None
    """Null until the metadata is known."""


class FailureView(Struct, frozen=True):
    code: str
    detail: str | None


class JobView(Struct, frozen=True):
    id: UUID
    name: str
    state: JobState
    version: int
    """Counts the job's changes; a lower one is older."""
    source: str
    v1: str | None
    v2: str | None
    private: bool
    size_bytes: int | None
    files_count: int | None
    wanted_bytes: int | None
    """Of the files that this job wants; the whole size, if it wants all."""
    priority: Priority
    sequential: bool
    down_max: int
    up_max: int
    progress: ProgressView
    failure: FailureView | None
    actions: list[JobAction]
    """What may be done with it now."""
    created_at: dt.datetime
    updated_at: dt.datetime
    ended_at: dt.datetime | None


class EditJob(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    files: list[int] | UnsetType | None = UNSET
    """Wanted ones, by their index; null: all."""
    name: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    """Before the organisation's other jobs, or after them."""
    sequential: bool | UnsetType = UNSET
    down_max: Speed | UnsetType = UNSET
    """Bytes a second from peers; 0: no limit."""
    up_max: Speed | UnsetType = UNSET
    """Bytes a second to peers; 0: no limit."""


class JobPage(Struct, frozen=True):
    items: list[JobView]
    next_cursor: str | None
    counts: dict[str, int]
    """Of all jobs on the list, by state, whatever was asked for."""


class EventView(Struct, frozen=True):
    version: int
    from_state: JobState | None
    to_state: JobState
    who: str
    why: str
    at: dt.datetime


class Timeline(Struct, frozen=True):
    items: list[EventView]
    next_cursor: str | None


class FileView(Struct, frozen=True):
    index: int
    path: str
    size_bytes: int
    wanted: bool
    stored: bool


class FilePage(Struct, frozen=True):
    items: list[FileView]
    next_cursor: str | None

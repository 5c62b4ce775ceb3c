"""What the API gives about jobs."""

import datetime as dt
from uuid import UUID

from msgspec import Struct

from wire.states import JobAction, JobState


class ProgressView(Struct, frozen=True):
    down_bytes: int
    """Verified on an agent."""
    stored_bytes: int
    """In the store, for good."""
    total_bytes: int | None
    """Null until the metadata is known."""


class FailureView(Struct, frozen=True):
    """Why a job failed; or, while it waits for its next try, why the last one did."""

    code: str
    sentence: str
    advice: str
    """What can be done about it."""
    detail: str | None
    retryable: bool
    """Another try may help."""
    tries: int
    """Made since anything was stored."""
    tries_max: int
    next_try_at: dt.datetime | None
    """Null once it is given up."""


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
    progress: ProgressView
    failure: FailureView | None
    actions: list[JobAction]
    """What may be done with it now."""
    created_at: dt.datetime
    updated_at: dt.datetime
    ended_at: dt.datetime | None


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
    """`person:<id>`, `key:<id>`, `agent:<id>` or `loop:<name>`."""
    why: str
    sentence: str
    detail: str | None
    epoch: int | None
    """Of the claim that this belongs to."""
    agent: UUID | None
    at: dt.datetime


class Timeline(Struct, frozen=True):
    items: list[EventView]
    next_cursor: str | None


class FileView(Struct, frozen=True):
    index: int
    path: str
    size_bytes: int
    stored: bool


class FilePage(Struct, frozen=True):
    items: list[FileView]
    next_cursor: str | None

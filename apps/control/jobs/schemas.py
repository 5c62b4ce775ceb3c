"""What the API gives about jobs."""

import datetime as dt
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from control.speed import Speed
from wire.messages import Rates
from wire.states import JobAction, JobState, Priority


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
    """Null while the job is paused, and once it is given up."""


class SeedingView(Struct, frozen=True):
    """It is stored, and its agent gives it to peers, or did."""

    given_bytes: int
    ratio: float
    """Of what was given to what is stored."""
    ratio_max: float | None
    began_at: dt.datetime
    ends_at: dt.datetime
    """At the latest."""
    ended_at: dt.datetime | None
    sentence: str | None
    """Why it ended."""


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
    seeding: SeedingView | None
    """Of a completed job."""
    expires_at: dt.datetime | None
    """When its files leave the store, by the organisation's plan; null: not yet known, or never."""
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
    """Of all jobs on the list, by state, whatever was asked for. Where there are thousands, up to two seconds old."""


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


class PiecesView(Struct, frozen=True):
    count: int
    cells: list[tuple[int, int]]
    """Runs of (state, cells): 0 missing, 1 verified on the agent, 2 in the store, 3 not wanted. At most 512 cells, each
    for one piece or for several neighbours, of which it tells the worst."""


class FileProgressView(Struct, frozen=True):
    """A file that is begun and not stored."""

    index: int
    down_bytes: int
    stored_bytes: int


class TrackerView(Struct, frozen=True):
    tier: int
    address: str
    """Up to the port: the rest may be a passkey."""
    word: Literal["ok", "refused", "away"] | None
    """Its last: it gave peers, it answered no, it could not be asked; null while it has said nothing."""
    text: str
    peers: int


class LiveView(Struct, frozen=True):
    """Progress in full, as the agent says it now; or, while no agent does, what is known of it."""

    job: UUID
    version: int
    live: bool
    """An agent said this, a moment ago."""
    at: dt.datetime
    rates: Rates
    pieces: PiecesView | None
    """Null while nobody knows."""
    files: list[FileProgressView]
    trackers: list[TrackerView]
    """This job's own."""


class FileView(Struct, frozen=True):
    index: int
    path: str
    size_bytes: int
    wanted: bool
    stored: bool
    expires_at: dt.datetime | None
    """With its job."""


class FilePage(Struct, frozen=True):
    items: list[FileView]
    next_cursor: str | None

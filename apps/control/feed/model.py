"""The table of the feed: what happened to an organisation's jobs and files, numbered in the order of reading.

Rows are written by triggers, with what they tell of; `seq` is loop `feed`'s. Nothing else is ever changed.
"""

import datetime as dt
import uuid
from enum import StrEnum

from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States
from wire.states import JobState


class EventType(StrEnum):
    """`job.` and a state: it came into that. The migration of the feed spells them, too."""

    JOB_ADDED = "job.added"
    JOB_SUBMITTED = "job.submitted"
    """Asked for once more, after its end."""
    JOB_METADATA_FETCH = "job.metadata_fetch"
    JOB_QUEUED = "job.queued"
    JOB_DOWNLOADING = "job.downloading"
    JOB_UPLOADING = "job.uploading"
    JOB_PAUSED = "job.paused"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"
    JOB_CHANGED = "job.changed"
    """Something else of it: what is wanted, or a try that failed while it goes on."""
    JOB_REMOVED = "job.removed"
    FILE_STORED = "file.stored"


class FeedRow(Base):
    __tablename__ = "feed"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    """The order of writing; a late commit has a lower one than what was read before."""
    seq: Mapped[int | None]
    """The order of reading, over all organisations, with gaps. Null: just written."""
    org_id: Mapped[uuid.UUID]
    type: Mapped[EventType] = mapped_column(States(EventType))
    at: Mapped[dt.datetime]
    job_id: Mapped[uuid.UUID]
    name: Mapped[str]
    version: Mapped[int]
    state: Mapped[JobState] = mapped_column(States(JobState))
    from_state: Mapped[JobState | None] = mapped_column(States(JobState))
    why: Mapped[str | None]
    detail: Mapped[str | None]
    file: Mapped[int | None]
    path: Mapped[str | None]
    size_bytes: Mapped[int | None]

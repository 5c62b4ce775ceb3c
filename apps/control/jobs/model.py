"""Tables of what organisations asked for: jobs, and one event for each change of their state."""

import datetime as dt
import uuid

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped, deferred, mapped_column

from control.db import Base, IllegalMove, States
from wire.states import JOB_ENDED, JOB_MOVES, Intent, JobState, Priority


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    person_id: Mapped[uuid.UUID]
    torrent_id: Mapped[uuid.UUID]
    transfer_id: Mapped[uuid.UUID]
    source: Mapped[str]
    url: Mapped[str | None]
    """Asked for by this; like trackers it may carry a secret."""
    intent: Mapped[Intent] = mapped_column(States(Intent), default=Intent.RUN)
    held_intent: Mapped[Intent | None] = mapped_column(States(Intent))
    """What it wanted before its organisation, or who asked for it, was suspended; loop `suspended` owns it."""
    state: Mapped[JobState] = mapped_column(States(JobState))
    version: Mapped[int] = mapped_column(default=1)
    """Counts the job's changes; whoever has seen a higher one drops a lower."""
    name: Mapped[str]
    trackers: Mapped[list[list[str]]]
    """Trackers, web seeds and peers belong to the job, never to the torrent: they may carry passkeys."""
    web_seeds: Mapped[list[str]]
    peers: Mapped[list[str]]
    files: Mapped[list[int] | None] = deferred(mapped_column())
    """Wanted ones, by index, asked for by name: there may be many. None: all."""
    wanted_bytes: Mapped[int | None]
    """Of these; known with the metadata."""
    priority: Mapped[Priority] = mapped_column(States(Priority), default=Priority.NORMAL)
    sequential: Mapped[bool] = mapped_column(default=False)
    down_max: Mapped[int] = mapped_column(default=0)
    """Bytes a second; 0: no limit of its own."""
    up_max: Mapped[int] = mapped_column(default=0)
    failure_code: Mapped[str | None]
    failure_detail: Mapped[str | None]
    correlation_id: Mapped[str]
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    removed_at: Mapped[dt.datetime | None]
    data_kept: Mapped[bool] = mapped_column(default=False)
    """Removed from the list, and yet what it stored stays."""
    expires_at: Mapped[dt.datetime | None]
    """Set with its end, by its organisation's plan; loop `expire` moves it when that changes."""
    expiry_warned_at: Mapped[dt.datetime | None]

    def move(self, to: JobState, now: dt.datetime) -> bool:
        """Only `jobs.follow` calls this: a state is never without its event."""
        if to is self.state:
            return False
        if to not in JOB_MOVES[self.state]:
            raise IllegalMove(f"job {self.id}: {self.state} -> {to}")
        self.state, self.updated_at = to, now
        self.version += 1
        self.ended_at = now if to in JOB_ENDED else None
        return True


class Event(Base):
    __tablename__ = "job_events"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    from_state: Mapped[JobState | None] = mapped_column(States(JobState))
    to_state: Mapped[JobState] = mapped_column(States(JobState))
    who: Mapped[str]
    why: Mapped[str]
    epoch: Mapped[int | None]
    agent_id: Mapped[uuid.UUID | None]
    """Who held the transfer when this happened, and under which epoch."""
    detail: Mapped[str | None]
    """Of a failure: what exactly was said."""
    at: Mapped[dt.datetime]


def is_kept() -> ColumnElement[bool]:
    """Its row is not to be purged."""
    return Job.removed_at.is_(None) | Job.data_kept


def holds_data() -> ColumnElement[bool]:
    """What its transfer stored is not to be purged either."""
    return is_kept() & (Job.state != JobState.EXPIRED)

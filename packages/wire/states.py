"""States of a job, a transfer and an agent; which moves are allowed; and what a job's state follows from.

A transfer (the work):

    waiting ──► offered ──► claimed ──► fetching_metadata ──► held ──► running ──► tail ──► stored
       ▲           │           └────────(metadata known)───────────────►┘           (each on an agent)
       └───────────┴── agent lost, handed over, offer not taken ──┘
    any state that is not final ──► failed | stopped
    stored ──► waiting, when more of it is wanted; ──► failed, when it was blocked

Paused is no state of a transfer but an intent: it stays where it is, on its agent or waiting, and nothing is done.

An agent, once it is heard of: `agent_state(duty, holds)`.

    enrolled ──► ready ◄──► cordoned ◄──► draining ──► drained      any ──► retired, for good
                   ▲            ▲             │
                   └── lost ◄───┴─ silent ────┘

What is small passes several of these between two reports, and only the last is seen: any later one may follow.

A job (what an organisation asked for) has no life of its own: its state is `job_state(intent, transfer)`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never


class TransferState(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    CLAIMED = "claimed"
    FETCHING_METADATA = "fetching_metadata"
    HELD = "held"
    RUNNING = "running"
    TAIL = "tail"
    STORED = "stored"
    FAILED = "failed"
    STOPPED = "stopped"


class JobState(StrEnum):
    SUBMITTED = "submitted"
    METADATA_FETCH = "metadata_fetch"
    QUEUED = "queued"
    DOWNLOADING = "downloading"
    UPLOADING = "uploading"
    COMPLETED = "completed"
    PAUSED = "paused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class AgentState(StrEnum):
    ENROLLED = "enrolled"
    READY = "ready"
    CORDONED = "cordoned"
    DRAINING = "draining"
    DRAINED = "drained"
    LOST = "lost"
    RETIRED = "retired"


class Duty(StrEnum):
    """What an agent should do; written by operators, never by agents. Its state follows from it."""

    WORK = "work"
    CORDON = "cordon"
    """Take nothing new."""
    DRAIN = "drain"
    """Take nothing new, and end what is at work."""
    HAND_OVER = "hand_over"
    """Take nothing new, and let others go on with what is at work."""


class Intent(StrEnum):
    """What should be done with a job or a transfer; written by people, never by agents."""

    RUN = "run"
    CHOOSE = "choose"
    """Fetch the metadata, then pause: somebody wants to see the files first."""
    PAUSE = "pause"
    STOP = "stop"


class Priority(StrEnum):
    """Which of an organisation's jobs go first; others are not touched by it."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


PRIORITIES = tuple(Priority)
"""Lowest first: a transfer's priority is the place in here."""


class Phase(StrEnum):
    """What an agent says a transfer is doing. The control plane turns it into a TransferState."""

    FETCHING_METADATA = "fetching_metadata"
    HELD = "held"
    RUNNING = "running"
    TAIL = "tail"


class JobAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    CHOOSE = "choose"
    REANNOUNCE = "reannounce"
    REMOVE = "remove"


T = TransferState
J = JobState

ON_AGENT = frozenset({T.CLAIMED, T.FETCHING_METADATA, T.HELD, T.RUNNING, T.TAIL})
"""An agent holds the transfer at the current epoch."""

TRANSFER_ENDED = frozenset({T.STORED, T.FAILED, T.STOPPED})
"""Nothing will be done any more."""

WANTS_AGENT = frozenset({Intent.RUN, Intent.CHOOSE})
"""With such an intent a transfer takes a slot; with the others it holds none."""

JOB_ACTIVE = frozenset({J.SUBMITTED, J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING, J.PAUSED})
"""The job can still come to an end; asking for the same torrent again gives this job."""

JOB_ENDED = frozenset(JobState) - JOB_ACTIVE
"""Nothing will happen to the job but its removal."""

EXPIRES = frozenset({J.COMPLETED, J.FAILED})
"""The job has something in the store, for as long as its organisation's plan says."""

_BACK_OR_OUT = frozenset({T.WAITING, T.FAILED, T.STOPPED})
TRANSFER_MOVES: dict[TransferState, frozenset[TransferState]] = {
    T.WAITING: frozenset({T.OFFERED, T.STORED, T.FAILED, T.STOPPED}),
    T.OFFERED: frozenset({T.CLAIMED}) | _BACK_OR_OUT,
    T.CLAIMED: frozenset({T.FETCHING_METADATA, T.HELD, T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.FETCHING_METADATA: frozenset({T.HELD, T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.HELD: frozenset({T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.RUNNING: frozenset({T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.TAIL: frozenset({T.RUNNING, T.STORED}) | _BACK_OR_OUT,
    T.STORED: frozenset({T.WAITING, T.FAILED}),
    T.FAILED: frozenset({T.WAITING}),
    T.STOPPED: frozenset({T.WAITING}),
}

_JOB_OUT = frozenset({J.FAILED, J.CANCELLED, J.COMPLETED, J.PAUSED})
_JOB_AT_WORK = frozenset({J.SUBMITTED, J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING})
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    J.SUBMITTED: frozenset({J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.METADATA_FETCH: frozenset({J.QUEUED, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.QUEUED: frozenset({J.METADATA_FETCH, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.DOWNLOADING: frozenset({J.METADATA_FETCH, J.QUEUED, J.UPLOADING}) | _JOB_OUT,
    J.UPLOADING: frozenset({J.QUEUED, J.DOWNLOADING}) | _JOB_OUT,
    J.PAUSED: _JOB_AT_WORK | _JOB_OUT - {J.PAUSED},
    J.COMPLETED: frozenset({J.EXPIRED, J.FAILED, J.QUEUED, J.DOWNLOADING, J.UPLOADING}),
    J.FAILED: _JOB_AT_WORK | {J.PAUSED, J.COMPLETED, J.CANCELLED, J.EXPIRED},
    J.CANCELLED: _JOB_AT_WORK | {J.COMPLETED},
    J.EXPIRED: frozenset(),
}

A = AgentState

AGENT_SYNCS = frozenset({A.READY, A.CORDONED, A.DRAINING})
"""It is heard of: a silence means something. One that is drained may be switched off, and nobody misses it."""

DRAINS = frozenset({Duty.DRAIN, Duty.HAND_OVER})
"""Nothing shall be left on the agent."""

_HEARD = frozenset({A.READY, A.CORDONED, A.DRAINING, A.DRAINED})
AGENT_MOVES: dict[AgentState, frozenset[AgentState]] = {
    A.ENROLLED: _HEARD - {A.DRAINING} | {A.RETIRED},
    A.READY: _HEARD - {A.READY} | {A.LOST, A.RETIRED},
    A.CORDONED: _HEARD - {A.CORDONED} | {A.LOST, A.RETIRED},
    A.DRAINING: _HEARD - {A.DRAINING} | {A.LOST, A.RETIRED},
    A.DRAINED: frozenset({A.READY, A.CORDONED, A.RETIRED}),
    A.LOST: _HEARD - {A.DRAINING} | {A.RETIRED},
    A.RETIRED: frozenset(),
}


def agent_state(duty: Duty, *, holds: bool) -> AgentState:
    """What the state is of an agent that is heard of, given what it should do and whether it holds transfers."""
    match duty:
        case Duty.WORK:
            return A.READY
        case Duty.CORDON:
            return A.CORDONED
        case Duty.DRAIN | Duty.HAND_OVER:
            return A.DRAINING if holds else A.DRAINED
        case _:
            assert_never(duty)


def job_state(
    intent: Intent, transfer: TransferState, *, metadata_known: bool, claimed_before: bool, complete: bool = False
) -> JobState:
    """What a job's state is, given what was asked and what its transfer does; the only source of it. `complete`: all
    that this job wants is stored; its transfer may be at work for others still."""
    if intent is Intent.STOP:  # before all else: what one job gave up may still be finished for another
        return J.CANCELLED
    if complete:
        return J.COMPLETED
    if intent is Intent.PAUSE or (intent is Intent.CHOOSE and metadata_known):
        return J.PAUSED  # whatever becomes of the transfer; resuming takes it up again
    if transfer is T.STOPPED:
        return J.CANCELLED
    if transfer is T.FAILED:
        return J.FAILED
    if transfer is T.RUNNING:
        return J.DOWNLOADING
    if transfer is T.TAIL:
        return J.UPLOADING
    if not claimed_before:
        return J.SUBMITTED
    return J.QUEUED if metadata_known else J.METADATA_FETCH


def strongest(intents: Iterable[Intent]) -> Intent:
    """What several holders together want of one transfer: it runs while any wants it, and stops when none does."""
    asked = set(intents)
    return next((intent for intent in (Intent.RUN, Intent.CHOOSE, Intent.PAUSE) if intent in asked), Intent.STOP)


def job_actions(state: JobState) -> frozenset[JobAction]:
    """What may be done with a job now; screens and routes both ask here."""
    return _ACTIONS[state]


_AT_WORK = frozenset({JobAction.PAUSE, JobAction.CANCEL, JobAction.CHOOSE})
_GAVE_UP = frozenset({JobAction.RETRY, JobAction.REMOVE})
_ACTIONS: dict[JobState, frozenset[JobAction]] = {
    **dict.fromkeys(_JOB_AT_WORK, _AT_WORK),
    **dict.fromkeys((J.METADATA_FETCH, J.DOWNLOADING), _AT_WORK | {JobAction.REANNOUNCE}),
    J.PAUSED: frozenset({JobAction.RESUME, JobAction.CANCEL, JobAction.CHOOSE}),
    J.COMPLETED: frozenset({JobAction.CHOOSE, JobAction.REMOVE}),
    J.FAILED: _GAVE_UP,
    J.CANCELLED: _GAVE_UP,
    J.EXPIRED: frozenset({JobAction.REMOVE}),
}

"""States of a job, a transfer and an agent; which moves are allowed; and what a job's state follows from.

A transfer (the work):

    waiting ──► offered ──► claimed ──► fetching_metadata ──► held ──► running ──► tail ──► stored
       ▲           │           └────────(metadata known)───────────────►┘           (each on an agent)
       └───────────┴── agent lost, handed over, offer not taken ──┘
    any state that is not final ──► failed | stopped

What is small passes several of these between two reports, and only the last is seen: any later one may follow.

A job (what an organisation asked for) has no life of its own: its state is `job_state(intent, transfer)`.
"""

from enum import StrEnum


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


class Intent(StrEnum):
    """What should be done with a job or a transfer; written by people, never by agents."""

    RUN = "run"
    STOP = "stop"


class Phase(StrEnum):
    """What an agent says a transfer is doing. The control plane turns it into a TransferState."""

    FETCHING_METADATA = "fetching_metadata"
    HELD = "held"
    RUNNING = "running"
    TAIL = "tail"


class JobAction(StrEnum):
    CANCEL = "cancel"
    REMOVE = "remove"


T = TransferState
J = JobState

ON_AGENT = frozenset({T.CLAIMED, T.FETCHING_METADATA, T.HELD, T.RUNNING, T.TAIL})
"""An agent holds the transfer at the current epoch."""

TRANSFER_ENDED = frozenset({T.STORED, T.FAILED, T.STOPPED})
"""Nothing will be done any more."""

JOB_ACTIVE = frozenset({J.SUBMITTED, J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING, J.PAUSED})
"""The job can still come to an end; asking for the same torrent again gives this job."""

JOB_ENDED = frozenset(JobState) - JOB_ACTIVE
"""Nothing will happen to the job but its removal."""

_BACK_OR_OUT = frozenset({T.WAITING, T.FAILED, T.STOPPED})
TRANSFER_MOVES: dict[TransferState, frozenset[TransferState]] = {
    T.WAITING: frozenset({T.OFFERED, T.STORED, T.FAILED, T.STOPPED}),
    T.OFFERED: frozenset({T.CLAIMED}) | _BACK_OR_OUT,
    T.CLAIMED: frozenset({T.FETCHING_METADATA, T.HELD, T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.FETCHING_METADATA: frozenset({T.HELD, T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.HELD: frozenset({T.RUNNING, T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.RUNNING: frozenset({T.TAIL, T.STORED}) | _BACK_OR_OUT,
    T.TAIL: frozenset({T.RUNNING, T.STORED}) | _BACK_OR_OUT,
    T.STORED: frozenset(),
    T.FAILED: frozenset({T.WAITING}),
    T.STOPPED: frozenset({T.WAITING}),
}

_JOB_OUT = frozenset({J.FAILED, J.CANCELLED, J.COMPLETED, J.PAUSED})
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    J.SUBMITTED: frozenset({J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.METADATA_FETCH: frozenset({J.QUEUED, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.QUEUED: frozenset({J.METADATA_FETCH, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT,
    J.DOWNLOADING: frozenset({J.METADATA_FETCH, J.QUEUED, J.UPLOADING}) | _JOB_OUT,
    J.UPLOADING: frozenset({J.QUEUED, J.DOWNLOADING}) | _JOB_OUT,
    J.PAUSED: frozenset({J.SUBMITTED, J.METADATA_FETCH, J.QUEUED, J.DOWNLOADING, J.UPLOADING}) | _JOB_OUT - {J.PAUSED},
    J.COMPLETED: frozenset({J.EXPIRED}),
    J.FAILED: frozenset({J.QUEUED, J.SUBMITTED, J.METADATA_FETCH, J.CANCELLED}),
    J.CANCELLED: frozenset(),
    J.EXPIRED: frozenset(),
}

AGENT_MOVES: dict[AgentState, frozenset[AgentState]] = {
    AgentState.ENROLLED: frozenset({AgentState.READY, AgentState.RETIRED}),
    AgentState.READY: frozenset({AgentState.CORDONED, AgentState.DRAINING, AgentState.LOST, AgentState.RETIRED}),
    AgentState.CORDONED: frozenset({AgentState.READY, AgentState.DRAINING, AgentState.LOST, AgentState.RETIRED}),
    AgentState.DRAINING: frozenset({AgentState.DRAINED, AgentState.READY, AgentState.LOST, AgentState.RETIRED}),
    AgentState.DRAINED: frozenset({AgentState.READY, AgentState.LOST, AgentState.RETIRED}),
    AgentState.LOST: frozenset({AgentState.READY, AgentState.RETIRED}),
    AgentState.RETIRED: frozenset(),
}


def job_state(intent: Intent, transfer: TransferState, *, metadata_known: bool, claimed_before: bool) -> JobState:
    """What a job's state is, given what was asked and what its transfer does; the only source of it."""
    if intent is Intent.STOP:  # before STORED: what one job gave up may still be finished for another
        return J.CANCELLED
    if transfer is T.STORED:
        return J.COMPLETED
    if transfer is T.STOPPED:
        return J.CANCELLED
    if transfer is T.FAILED:
        return J.FAILED
    if transfer is T.RUNNING:
        return J.DOWNLOADING
    if transfer is T.TAIL:
        return J.UPLOADING
    if transfer in ON_AGENT:
        return J.QUEUED if metadata_known else J.METADATA_FETCH
    if not claimed_before:
        return J.SUBMITTED
    return J.QUEUED if metadata_known else J.METADATA_FETCH


def job_actions(state: JobState) -> frozenset[JobAction]:
    """What may be done with a job now; screens and routes both ask here."""
    return frozenset({JobAction.CANCEL}) if state in JOB_ACTIVE else frozenset({JobAction.REMOVE})

"""What the control plane says to itself over the bus: `JobEvent` (durable), `Progress` and `Picture` (newest wins)."""

from datetime import datetime

from msgspec import Struct

from wire.ids import JobId
from wire.messages import Detail, Rates
from wire.states import JobState


class JobEvent(Struct, frozen=True):
    """On `events.<org>.<job>`: a job's state moved. `version` orders them."""

    job: JobId
    version: int
    state: JobState
    at: datetime
    code: str | None = None
    removed: bool = False


class Progress(Struct, frozen=True):
    """On `progress.<org>.<job>`: newest wins, none is ever stored."""

    job: JobId
    rates: Rates
    at: datetime


class Picture(Struct, frozen=True):
    """On `detail.<org>.<job>`: what an agent answered to an `Ask`. Nobody keeps it."""

    rates: Rates
    detail: Detail
    at: datetime

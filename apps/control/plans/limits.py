"""What an organisation may use, and whether something fits. Pure.

A limit of None is none. An organisation's own limits stand above those of its plan, one by one.
"""

from enum import StrEnum
from typing import Annotated, assert_never

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from control.errors import Shortage
from control.seeding import Seeding
from wire.units import GB

WARNED_PERCENT = (80, 100)
"""Members are told once, when so much of a limit is used."""

Count = Annotated[int, Meta(ge=1, le=100_000)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Sessions = Annotated[int, Meta(ge=1, le=1_000)]
"""One answer lists them all."""


class Kind(StrEnum):
    """Which limit; as the code of a refusal says it too."""

    STORAGE = "quota_spent"
    FILE = "file_too_large"
    TRAFFIC = "traffic_spent"
    OPEN_JOBS = "too_many_jobs"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: Count
    """Transfers on agents at once; the rest wait their turn."""
    open_jobs: Count
    """Jobs that have not ended."""
    storage_bytes: Bytes | None
    """Stored, or set aside for what is under way."""
    file_bytes: Bytes | None
    """Of one file."""
    traffic_bytes: Bytes | None
    """In a month (UTC): brought in, and delivered."""
    kept_days: Days | None
    """How long what is completed stays."""
    sessions: Sessions
    """Of one member at once. Who is in several organisations has as many as the best of them gives; more stay until
    another begins, and then the oldest end."""
    seeding: Seeding | None
    """What its transfers let peers have: of this and their pool's the stricter counts. Null: the pool's alone."""


class OwnLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands above the plan's; what is left out is the plan's, null is no limit."""

    active: Count | UnsetType = UNSET
    open_jobs: Count | UnsetType = UNSET
    storage_bytes: Bytes | UnsetType | None = UNSET
    file_bytes: Bytes | UnsetType | None = UNSET
    traffic_bytes: Bytes | UnsetType | None = UNSET
    kept_days: Days | UnsetType | None = UNSET
    sessions: Sessions | UnsetType = UNSET
    seeding: Seeding | UnsetType | None = UNSET


class Need(Struct, frozen=True):
    """What somebody asks for."""

    storage: int = 0
    traffic: int = 0
    largest: int = 0
    """Of its files."""
    jobs: int = 0


class Use(Struct, frozen=True):
    """What is used, or set aside, without what is asked for."""

    storage: int = 0
    traffic: int = 0
    open_jobs: int = 0


def merged(plan: Limits, own: OwnLimits) -> Limits:
    said = {name: value for name, value in structs.asdict(own).items() if value is not UNSET}
    return structs.replace(plan, **said)


def short(limits: Limits, use: Use, need: Need) -> Shortage | None:
    """The first limit that is too small, or None: there is room."""
    if limits.file_bytes is not None and need.largest > limits.file_bytes:
        return Shortage(Kind.FILE, need.largest, limits.file_bytes, limits.file_bytes)
    for kind, allowed, used, needed in (
        (Kind.STORAGE, limits.storage_bytes, use.storage, need.storage),
        (Kind.TRAFFIC, limits.traffic_bytes, use.traffic, need.traffic),
        (Kind.OPEN_JOBS, limits.open_jobs, use.open_jobs, need.jobs),
    ):
        if allowed is not None and needed and used + needed > allowed:
            return Shortage(kind, needed, max(0, allowed - used), allowed)
    return None


def sentence(lack: Shortage) -> str:
    """Which limit, how much is left, and which plans have room."""
    needed, left, allowed = (f"{size / GB:.2f} GB" for size in (lack.needed, lack.left, lack.allowed))
    match Kind(lack.limit):
        case Kind.STORAGE:
            said = f"This needs {needed} of storage, and {left} of {allowed} are left: remove jobs first."
        case Kind.TRAFFIC:
            said = f"This needs {needed} of traffic, and {left} of this month's {allowed} are left."
        case Kind.FILE:
            said = f"Its largest file has {needed}, and {allowed} are allowed: choose others."
        case Kind.OPEN_JOBS:
            said = f"{lack.allowed} jobs are open: wait for some, or cancel them."
        case kind:
            assert_never(kind)
    return f"{said} Plans with room: {', '.join(lack.plans)}." if lack.plans else said


def reached(used: int, allowed: int | None) -> int:
    """The highest of `WARNED_PERCENT` that is used, else 0."""
    if not allowed:
        return 0
    return max((each for each in WARNED_PERCENT if used * 100 >= allowed * each), default=0)


class Held(Struct, frozen=True, kw_only=True):
    """What there is, to be held against limits."""

    active: int = 0
    open_jobs: int = 0
    storage_bytes: int = 0
    file_bytes: int = 0
    """Of the largest."""
    traffic_bytes: int = 0
    kept_days: int | None = None
    """With which the dates of what is completed were reckoned; None: they have none."""


class Over(Struct, frozen=True):
    """What does not fit (any more), and what becomes of it."""

    limit: str
    used: int | None
    """Null: without limit."""
    allowed: int
    sentence: str


_OVER = {
    "active": "What is at work goes on; nothing else begins until less is.",
    "open_jobs": "The open ones go on; none is added until fewer are.",
    "storage_bytes": "What is stored stays as long as it would, and what is under way goes on; nothing is added.",
    "file_bytes": "Larger files that are stored stay, and those under way go on; none is added.",
    "traffic_bytes": "What is under way goes on; nothing is added or fetched until next month.",
}
"""Nothing that is there ends by a change of limits."""
_SOONER = "What is completed expires sooner, though nothing within a week."


def over(limits: Limits, held: Held) -> list[Over]:
    numbers = ((name, getattr(held, name), getattr(limits, name), said) for name, said in _OVER.items())
    found = [Over(name, used, most, said) for name, used, most, said in numbers if most is not None and used > most]
    days = limits.kept_days
    if days is not None and (held.kept_days is None or held.kept_days > days):
        found.append(Over("kept_days", held.kept_days, days, _SOONER))
    return found

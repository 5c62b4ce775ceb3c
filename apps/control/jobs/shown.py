"""What is shown of a job, and its queries: written out, since pages ask for them all day (see `control.straight`)."""

import datetime as dt
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from uuid import UUID

import msgspec
from msgspec import Struct

from control.errors import NotFound
from control.jobs.service import Whole
from control.straight import Straight
from wire.ids import OrgId
from wire.states import JobState, Priority, TransferState

LAST = UUID(int=2**128 - 1)
"""Every id is before it."""
MANY = 5_000
HELD_S = 2.0
KNOWN_MAX = 1_000


class Shown(Struct, frozen=True, array_like=True):
    """Of a job, its transfer, its torrent, and how it is given to peers; in the order of `_COLUMNS`."""

    id: UUID
    name: str
    state: JobState
    version: int
    source: str
    wanted_bytes: int | None
    priority: Priority
    sequential: bool
    down_max: int
    up_max: int
    failure_code: str | None
    failure_detail: str | None
    expires_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    ended_at: dt.datetime | None
    v1: bytes | None
    v2: bytes | None
    is_private: bool
    torrent_bytes: int | None
    files_count: int | None
    transfer_state: TransferState
    transfer_bytes: int | None
    down_bytes: int
    stored_bytes: int
    tries: int
    not_before: dt.datetime | None
    moved_at: dt.datetime
    transfer_failure_code: str | None
    transfer_failure_detail: str | None
    given_bytes: int | None
    """Null: it is not given, and was not. So with all that follows."""
    ratio_max: float | None
    given_from: dt.datetime | None
    given_until: dt.datetime | None
    given_ended_at: dt.datetime | None
    given_why: str | None


_COLUMNS = """j.id, j.name, j.state, j.version, j.source, j.wanted_bytes, j.priority, j.sequential, j.down_max,
    j.up_max, j.failure_code, j.failure_detail, j.expires_at, j.created_at, j.updated_at, j.ended_at,
    o.v1, o.v2, o.is_private, o.size_bytes, o.files_count,
    t.state, t.size_bytes, t.down_bytes, t.stored_bytes, t.tries, t.not_before, t.moved_at, t.failure_code,
    t.failure_detail, s.given_bytes, s.ratio_max, s.began_at, s.ends_at, s.ended_at, s.why"""
_BESIDE = """JOIN transfers t ON t.id = j.transfer_id JOIN torrents o ON o.id = j.torrent_id
      LEFT JOIN seeds s ON s.transfer_id = t.id AND s.epoch = t.epoch"""
_MINE = "SELECT * FROM jobs WHERE org_id = $1 AND removed_at IS NULL"
_ONE = f"SELECT {_COLUMNS} FROM ({_MINE} AND id = $2) j {_BESIDE}"
_PAGE = f"""
    WITH j AS MATERIALIZED ({_MINE} AND id < $2 {{more}} ORDER BY id DESC LIMIT {{limit}})
    SELECT {_COLUMNS} FROM j {_BESIDE} ORDER BY j.id DESC"""
"""The page first, then what belongs to it; and its length written out. Else PostgreSQL may join all that an
organisation has, and throw away what is not on the page."""
_IN = "AND state = ANY($3::text[])"
_COUNTS = "SELECT state, count(*) FROM jobs WHERE org_id = $1 AND removed_at IS NULL GROUP BY state"


async def one(asked: Straight, org: OrgId, job: UUID) -> Shown:
    row = await asked.fetchrow(_ONE, org, job)
    if row is None:
        raise NotFound("There is no such job.")
    return _shown(row)


async def page(
    asked: Straight, org: OrgId, states: Collection[JobState], before: UUID | None, limit: int
) -> list[Shown]:
    """Newest first."""
    asking = _PAGE.format(more=_IN if states else "", limit=limit)
    rows = await asked.fetch(asking, org, before or LAST, *([[state.value for state in states]] if states else []))
    return [_shown(row) for row in rows]


class Tally:
    """Jobs by state, as one process last counted them: where they are many, counting costs more than a page."""

    def __init__(self) -> None:
        self._known: OrderedDict[OrgId, tuple[float, dict[str, int]]] = OrderedDict()

    async def counts(self, asked: Straight, org: OrgId) -> dict[str, int]:
        until, known = self._known.get(org, (0.0, {}))
        if until > time.monotonic():
            return known
        seen = dict(await asked.fetch(_COUNTS, org))
        found = {state.value: seen.get(state.value, 0) for state in JobState}
        if sum(found.values()) >= MANY:
            self._known[org] = time.monotonic() + HELD_S, found
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return found


def of(whole: Whole) -> Shown:
    """From the rows as SQLAlchemy has them."""
    job, transfer, torrent, seed = whole.job, whole.transfer, whole.torrent, whole.seed
    return Shown(
        job.id, job.name, job.state, job.version, job.source, job.wanted_bytes, job.priority, job.sequential,
        job.down_max, job.up_max, job.failure_code, job.failure_detail, job.expires_at, job.created_at, job.updated_at,
        job.ended_at, torrent.v1, torrent.v2, torrent.is_private, torrent.size_bytes, torrent.files_count,
        transfer.state, transfer.size_bytes, transfer.down_bytes, transfer.stored_bytes, transfer.tries,
        transfer.not_before, transfer.moved_at, transfer.failure_code, transfer.failure_detail,
        *((seed.given_bytes, seed.ratio_max, seed.began_at, seed.ends_at, seed.ended_at, seed.why) if seed
          else (None,) * 6),
    )  # fmt: skip


def _shown(row: Iterable[object]) -> Shown:
    return msgspec.convert(tuple(row), Shown)

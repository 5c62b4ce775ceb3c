"""What must be true when a round is over, whatever happened in it. Pure: a picture in, what is wrong with it out."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from control.storage.keys import parse_key, prefix
from wire.states import JOB_MOVES, JobState

Move = tuple[str | None, str]
CONTENT = {"paused": ("completed",)}
"""With what else somebody is content: a pause may find that all is stored, or an agent that cannot hear of it."""


class Fault(StrEnum):
    """Each is a figure of the bench, and must be zero."""

    LOST_JOB = "lost_jobs"
    ILLEGAL_MOVE = "illegal_moves"
    DUPLICATE_STORE = "duplicate_stores"
    CORRUPT_OBJECT = "corrupt_objects"
    LEFTOVER = "leftovers"
    SERVER_ERROR = "server_errors"


class Wrong(Struct, frozen=True):
    fault: Fault
    what: str


class JobSeen(Struct, frozen=True, kw_only=True):
    id: str
    wanted: str
    """The state in which its user wants it to end."""
    state: str | None
    """None: nobody knows it any more."""
    moves: list[Move]
    prefix: str
    """Of its torrent's objects."""
    source: dict[int, str]
    """SHA-256 of each of its torrent's files."""


class Stored(Struct, frozen=True):
    key: str
    file: int
    epoch: int
    transfer_epoch: int


class Picture(Struct, frozen=True, kw_only=True):
    jobs: list[JobSeen]
    named: list[Stored]
    """What the database says to be stored."""
    objects: dict[str, str]
    """Every key in the bucket, with its content's SHA-256; empty where nobody looked into it."""
    open_uploads: list[str]
    in_progress: frozenset[str]
    """Keys of uploads that a transfer still wants: a paused one goes on with them."""
    going: dict[str, int]
    """Prefixes of transfers that are not over, with their epoch: what the store has and nobody could report before a
    pause (it or an agent was killed in between) is seen to when the transfer goes on, or when it is removed."""
    on_disks: dict[str, list[str]]
    """Transfers' folders on each agent."""
    held: dict[str, frozenset[str]]
    """Those that each agent may have."""
    server_errors: list[str]


def wrong(picture: Picture) -> list[Wrong]:
    return [
        *(Wrong(Fault.LOST_JOB, each) for each in _lost(picture.jobs)),
        *(Wrong(Fault.ILLEGAL_MOVE, each) for job in picture.jobs for each in _illegal(job)),
        *(Wrong(Fault.DUPLICATE_STORE, each) for each in _duplicates(picture)),
        *(Wrong(Fault.CORRUPT_OBJECT, each) for each in _corrupt(picture)),
        *(Wrong(Fault.LEFTOVER, each) for each in _leftovers(picture)),
        *(Wrong(Fault.SERVER_ERROR, each) for each in picture.server_errors),
    ]


def _lost(jobs: list[JobSeen]) -> Iterator[str]:
    for job in jobs:
        if job.state not in (job.wanted, *CONTENT.get(job.wanted, ())):
            yield f"job {job.id} is {job.state}, its user wants it {job.wanted}"


def _illegal(job: JobSeen) -> Iterator[str]:
    if not job.moves or job.moves[0][0] is not None:
        yield f"job {job.id} has no beginning: {job.moves[:1]}"
    for before, after in pairwise(job.moves):
        if before[1] != after[0]:
            yield f"job {job.id} jumps from {before[1]} to {after[0]}"
    for come, go in job.moves:
        if come in (None, go):
            continue  # it begins, or something is told of it while it stays where it is: a try that failed, a new name
        if JobState(go) not in JOB_MOVES[JobState(come)]:
            yield f"job {job.id} went from {come} to {go}"
    if job.moves and job.state is not None and job.moves[-1][1] != job.state:
        yield f"job {job.id} is {job.state}, its timeline ends with {job.moves[-1][1]}"


def _duplicates(picture: Picture) -> Iterator[str]:
    """A file is one object: that which its row names, of an epoch that there was."""
    for place, times in Counter((key.rpartition("/")[0]) for key in picture.objects).items():
        if times > 1:
            yield f"{place} is stored {times} times"
    for row in picture.named:
        parsed = parse_key(row.key)
        if parsed is None or (parsed.file, parsed.epoch) != (row.file, row.epoch) or row.epoch > row.transfer_epoch:
            yield f"{row.key} is not what its row says: file {row.file}, epoch {row.epoch} of {row.transfer_epoch}"


def _corrupt(picture: Picture) -> Iterator[str]:
    named = {row.key for row in picture.named}
    for job in picture.jobs:
        if "completed" not in (job.wanted, job.state):
            continue
        there = {row.file: row.key for row in picture.named if row.key.startswith(job.prefix)}
        for file, digest in job.source.items():
            key = there.get(file)
            if key is None or key not in picture.objects:
                yield f"file {file} of job {job.id} is not in the store ({key})"
            elif picture.objects[key] not in ("", digest):
                yield f"{key} has other bytes than its source"
    for key in named - picture.objects.keys():
        if not any(key.startswith(job.prefix) for job in picture.jobs):
            yield f"{key} is named, and not there"


def _leftovers(picture: Picture) -> Iterator[str]:
    for key in picture.objects.keys() - {row.key for row in picture.named}:
        parsed = parse_key(key)
        if parsed is None or parsed.epoch > picture.going.get(prefix(parsed.scope, parsed.torrent), 0):
            yield f"{key} is in the store, and no row names it"
    for key in picture.open_uploads:
        if key not in picture.in_progress:
            yield f"{key} has an open upload"
    for agent, folders in picture.on_disks.items():
        for folder in folders:
            if folder not in picture.held.get(agent, frozenset()):
                yield f"{agent} has a folder of {folder}, which it does not hold"
